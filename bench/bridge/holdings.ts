// What a bridge holds on to: memory idle and after load, memory and processes after clients that left and clients that
// vanished, and how long it takes to its first answer. Each bridge is measured with a twin beside it, so that what the
// two share (Node's own text) is not counted as private.
import { sleep } from '../../src/base/clock.ts';
import { startLoad } from '../support/load-driver.ts';
import { descendants, memoryOf, memoryOfAll, tree } from '../support/processes.ts';
import { progress } from '../support/report.ts';
import { inRounds, type Sample, sampleOf } from '../support/statistics.ts';
import type { Subject } from '../support/subject.ts';

/** Time for a process to come to rest before its memory is read. */
const settleMs = 1_000;

export interface MemoryUse {
  /** Private bytes. */
  readonly idle: Sample;
  readonly loaded: Sample;
}

export interface MemoryOptions {
  readonly subjects: readonly Subject[];
  readonly rounds: number;
  readonly calls: number;
}

/** Memory after the first initialize and after so many calls. @returns by name */
export async function measureMemory(options: MemoryOptions): Promise<Map<string, MemoryUse>> {
  const { calls } = options;
  const idle = new Map<string, number[]>();
  const loaded = new Map<string, number[]>();
  await inRounds({
    ...options,
    async measure(subject, round) {
      progress(`memory: ${subject.name}, round ${round + 1} of ${options.rounds}`);
      await using bridge = await subject.start();
      await using twin = await subject.start();
      await sleep(settleMs);
      note(idle, subject.name, memoryOf(bridge.pid).ussBytes);
      for (const [one, count] of [
        [twin, Math.ceil(calls / 20)],
        [bridge, calls],
      ] as const) {
        using load = startLoad();
        await load.run({ do: 'sessions', target: one.target, count: 1 });
        await load.run({ do: 'calls', sessions: 1, inFlight: 16, calls: count });
      }
      await sleep(settleMs);
      note(loaded, subject.name, memoryOf(bridge.pid).ussBytes);
    },
  });
  return new Map(
    [...idle].map(([name, values]) => [
      name,
      { idle: sampleOf(values), loaded: sampleOf(loaded.get(name) ?? []) },
    ]),
  );
}

export interface SessionUse {
  /** Proportional bytes of the bridge and all below it, with 64 sessions open. */
  readonly openPssBytes: number;
  /** Private bytes of the bridge before, and after each round of clients that left or vanished. */
  readonly beforeBytes: number;
  readonly afterBytes: readonly number[];
  /** Processes below the bridge beyond those it started with. */
  readonly extraProcesses: number;
  /** Proportional bytes of the bridge and all below it, beyond those before. */
  readonly extraPssBytes: number;
}

export interface SessionOptions {
  readonly subjects: readonly Subject[];
  readonly open: number;
  readonly passing: number;
  readonly vanishing: number;
  /** Rounds of passing and vanishing, by subject. */
  readonly rounds: (subject: Subject) => number;
}

/** What clients leave behind. @returns by name */
export async function measureSessions(options: SessionOptions): Promise<Map<string, SessionUse>> {
  const found = new Map<string, SessionUse>();
  for (const subject of options.subjects) {
    progress(`sessions: ${subject.name}`);
    found.set(subject.name, await measureClients(subject, options));
  }
  return found;
}

async function measureClients(subject: Subject, options: SessionOptions): Promise<SessionUse> {
  await using bridge = await subject.start();
  await using _twin = await subject.start();
  using load = startLoad();
  const { target, pid } = bridge;
  await load.run({ do: 'sessions', target, count: options.open });
  await load.run({ do: 'calls', sessions: options.open, inFlight: options.open, calls: options.open * 20 });
  await sleep(settleMs);
  const openPssBytes = memoryOfAll(tree(pid)).pssBytes;
  await load.run({ do: 'sessions', target, count: 0 });
  await sleep(settleMs);
  const beforeBytes = memoryOf(pid).ussBytes;
  const beforePssBytes = memoryOfAll(tree(pid)).pssBytes;
  const processes = descendants(pid).length;
  const afterBytes: number[] = [];
  const rounds = options.rounds(subject);
  for (let round = 0; round < rounds; round += 1) {
    progress(`sessions: ${subject.name}, round ${round + 1} of ${rounds}`);
    await load.run({ do: 'pass', target, count: options.passing });
    await load.run({ do: 'vanish', target, count: options.vanishing });
    await sleep(settleMs);
    afterBytes.push(memoryOf(pid).ussBytes);
  }
  return {
    openPssBytes,
    beforeBytes,
    afterBytes,
    extraProcesses: descendants(pid).length - processes,
    extraPssBytes: memoryOfAll(tree(pid)).pssBytes - beforePssBytes,
  };
}

/** From spawn to the first answered call, milliseconds. @returns by name */
export async function measureStarts(
  subjects: readonly Subject[],
  rounds: number,
): Promise<Map<string, Sample>> {
  const took = new Map<string, number[]>();
  await inRounds({
    subjects,
    rounds,
    onRound: (round) => progress(`starts: round ${round + 1} of ${rounds}`),
    async measure(subject) {
      await using bridge = await subject.start();
      note(took, subject.name, bridge.startedMs);
    },
  });
  return new Map([...took].map(([name, values]) => [name, sampleOf(values)]));
}

function note(values: Map<string, number[]>, name: string, value: number): void {
  const known = values.get(name);
  if (known === undefined) values.set(name, [value]);
  else known.push(value);
}
