// The program that makes the load, in a process of its own so that what it costs is not counted as the bridge's. One
// command at a time over the channel of its parent; a call that fails ends the command with its error.
import { monotonicMs, sleep } from '../../src/base/clock.ts';
import { openSession, type Session, type Target } from './mcp-session.ts';
import { quantile } from './statistics.ts';

export type LoadCommand =
  /** Opens sessions until there are so many, or ends the newest until there are. */
  | { readonly do: 'sessions'; readonly target: Target; readonly count: number }
  /** Calls in the first so many sessions, for so long or until so many are answered. */
  | {
      readonly do: 'calls';
      readonly sessions: number;
      readonly inFlight: number;
      readonly windowMs?: number;
      readonly calls?: number;
    }
  /** Further clients that come, listen, call, and are gone with a call in flight. */
  | { readonly do: 'vanish'; readonly target: Target; readonly count: number }
  /** From now on one client of each target calls at that pace, in the background. A call that fails is counted. */
  | { readonly do: 'watch'; readonly targets: readonly Target[]; readonly everyMs: number }
  /** Ends the watch. @returns its calls, how many failed, and the longest a call took */
  | { readonly do: 'watched' }
  /** Sessions opened and ended, one after another. */
  | { readonly do: 'pass'; readonly target: Target; readonly count: number };

export interface LoadReport {
  /** What each initialize took. */
  readonly openMs: readonly number[];
  readonly calls: number;
  readonly elapsedMs: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly longestMs: number;
  readonly failed: number;
}

const nothing: LoadReport = {
  openMs: [],
  calls: 0,
  elapsedMs: 0,
  p50Ms: 0,
  p99Ms: 0,
  longestMs: 0,
  failed: 0,
};
const sessions: Session[] = [];
let watch:
  | { readonly done: Promise<unknown>; readonly over: AbortController; readonly seen: Seen }
  | undefined;

interface Seen {
  readonly tookMs: number[];
  failed: number;
}

async function perform(command: LoadCommand): Promise<LoadReport> {
  switch (command.do) {
    case 'sessions':
      return { ...nothing, openMs: await haveSessions(command.target, command.count) };
    case 'calls':
      return makeCalls(command);
    case 'vanish':
      await Promise.all(Array.from({ length: command.count }, () => comeAndVanish(command.target)));
      return nothing;
    case 'watch':
      watch = await beginWatch(command.targets, command.everyMs);
      return nothing;
    case 'watched': {
      if (watch === undefined) return nothing;
      watch.over.abort();
      await watch.done;
      const { tookMs, failed } = watch.seen;
      return { ...reportOf(tookMs, 0), failed };
    }
    case 'pass': {
      const openMs: number[] = [];
      for (let made = 0; made < command.count; made += 1) {
        const session = await openSession(command.target);
        openMs.push(session.initializeMs);
        await session.end();
      }
      return { ...nothing, openMs };
    }
  }
}

async function haveSessions(target: Target, count: number): Promise<number[]> {
  while (sessions.length > count) await sessions.pop()?.end();
  const openMs: number[] = [];
  while (sessions.length < count) {
    const session = await openSession(target);
    sessions.push(session);
    openMs.push(session.initializeMs);
  }
  return openMs;
}

async function comeAndVanish(target: Target): Promise<void> {
  const session = await openSession(target);
  await session.listen();
  await session.call();
  session.call().catch(() => {});
  await new Promise((resolve) => setImmediate(resolve));
  session.vanish();
}

async function makeCalls(command: Extract<LoadCommand, { do: 'calls' }>): Promise<LoadReport> {
  const { inFlight, windowMs = Number.POSITIVE_INFINITY, calls = Number.POSITIVE_INFINITY } = command;
  const used = Math.min(command.sessions, sessions.length);
  const tookMs: number[] = [];
  let begun = 0;
  const startMs = monotonicMs();
  const endMs = startMs + windowMs;
  const caller = async (session: Session): Promise<void> => {
    for (let nowMs = monotonicMs(); begun < calls && nowMs < endMs; ) {
      begun += 1;
      await session.call();
      const doneMs = monotonicMs();
      tookMs.push(doneMs - nowMs);
      nowMs = doneMs;
    }
  };
  await Promise.all(Array.from({ length: inFlight }, (_, slot) => caller(sessions[slot % used] as Session)));
  const elapsedMs = monotonicMs() - startMs;
  return reportOf(tookMs, elapsedMs);
}

function reportOf(tookMs: readonly number[], elapsedMs: number): LoadReport {
  const sorted = Float64Array.from(tookMs).sort();
  return {
    ...nothing,
    calls: sorted.length,
    elapsedMs,
    p50Ms: quantile(sorted, 0.5),
    p99Ms: quantile(sorted, 0.99),
    longestMs: sorted.at(-1) ?? 0,
  };
}

async function beginWatch(targets: readonly Target[], everyMs: number): Promise<NonNullable<typeof watch>> {
  const over = new AbortController();
  const seen: Seen = { tookMs: [], failed: 0 };
  const opened: Session[] = [];
  for (const target of targets) opened.push(await openSession(target));
  const follow = async (session: Session): Promise<void> => {
    // Not all at the same moment.
    await sleep(Math.random() * everyMs);
    while (!over.signal.aborted) {
      const startMs = monotonicMs();
      await session.call().then(
        () => void seen.tookMs.push(monotonicMs() - startMs),
        () => {
          seen.failed += 1;
        },
      );
      await sleep(everyMs);
    }
    session.vanish();
  };
  return { over, seen, done: Promise.all(opened.map(follow)) };
}

process.on('message', (command: LoadCommand) => {
  perform(command).then(
    (report) => process.send?.({ report }),
    (error: unknown) => process.send?.({ error: String(error) }),
  );
});
