// How fast a bridge is and what a call costs it: all bridges stand at once, and each is loaded in turn, shape by shape
// and round by round, so that what is compared lies within seconds.
import { type Load, startLoad } from '../support/load-driver.ts';
import { cpuMs } from '../support/processes.ts';
import { progress } from '../support/report.ts';
import { inRounds } from '../support/statistics.ts';
import type { Bridge, Subject } from '../support/subject.ts';

export interface Shape {
  readonly inFlight: number;
  readonly sessions: number;
}

/** In flight and sessions of the rows. */
export const shapes: readonly Shape[] = [
  { inFlight: 1, sessions: 1 },
  { inFlight: 16, sessions: 1 },
  { inFlight: 64, sessions: 1 },
  { inFlight: 16, sessions: 16 },
  { inFlight: 64, sessions: 16 },
];
const sessionsMax = Math.max(...shapes.map(({ sessions }) => sessions));

/** Longest a bridge is warmed up. */
const warmUpMsMax = 10_000;

/** One value a round. */
export interface ShapeRates {
  readonly perSecond: number[];
  readonly p50Ms: number[];
  readonly p99Ms: number[];
  /** Processor time of the bridge process per call, microseconds. */
  readonly cpuUs: number[];
}

export interface Rates {
  /** In the order of `shapes`. */
  readonly shapes: readonly ShapeRates[];
  /** `initialize` of a further session, milliseconds; one value a round. */
  readonly initializeMs: number[];
}

export interface RateOptions {
  readonly subjects: readonly Subject[];
  readonly rounds: number;
  readonly windowMs: number;
  readonly warmUpCalls: number;
}

interface Standing {
  readonly bridge: Bridge;
  readonly load: Load;
  readonly rates: Rates;
}

/** Measures all subjects. @returns their rates by name */
export async function measureRates(options: RateOptions): Promise<Map<string, Rates>> {
  const { subjects, rounds, windowMs, warmUpCalls } = options;
  await using stack = new AsyncDisposableStack();
  const standing = new Map<string, Standing>();
  for (const subject of subjects) {
    progress(`rates: starting ${subject.name}`);
    const bridge = stack.use(await subject.start());
    const load = stack.use(startLoad());
    await load.run({ do: 'sessions', target: bridge.target, count: sessionsMax });
    await load.run({
      do: 'calls',
      sessions: sessionsMax,
      inFlight: 16,
      calls: warmUpCalls,
      windowMs: warmUpMsMax,
    });
    standing.set(subject.name, { bridge, load, rates: emptyRates() });
  }
  for (let round = 0; round < rounds; round += 1) {
    progress(`rates: round ${round + 1} of ${rounds}`);
    const each = { subjects: [...standing.values()], rounds: 1, first: round };
    await inRounds({ ...each, measure: measureInitialize });
    for (const [at, shape] of shapes.entries())
      await inRounds({ ...each, measure: (one) => measureShape(one, at, shape, windowMs) });
  }
  return new Map([...standing].map(([name, { rates }]) => [name, rates]));
}

function emptyRates(): Rates {
  const empty = (): ShapeRates => ({ perSecond: [], p50Ms: [], p99Ms: [], cpuUs: [] });
  return { shapes: shapes.map(empty), initializeMs: [] };
}

async function measureInitialize({ bridge, load, rates }: Standing): Promise<void> {
  const { openMs } = await load.run({ do: 'pass', target: bridge.target, count: 1 });
  rates.initializeMs.push(...openMs);
}

async function measureShape(
  { bridge, load, rates }: Standing,
  at: number,
  shape: Shape,
  windowMs: number,
): Promise<void> {
  const beforeMs = cpuMs([bridge.pid]);
  const report = await load.run({ do: 'calls', ...shape, windowMs });
  const usedMs = cpuMs([bridge.pid]) - beforeMs;
  const values = rates.shapes[at];
  values?.perSecond.push((report.calls * 1_000) / report.elapsedMs);
  values?.p50Ms.push(report.p50Ms);
  values?.p99Ms.push(report.p99Ms);
  values?.cpuUs.push((usedMs * 1_000) / report.calls);
}
