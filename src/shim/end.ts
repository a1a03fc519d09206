// Ends an instance: no new requests, calls in flight get their time, then the child is asked to leave, told to, made
// to; then the record of the end is written and the process exits. Bounded by drainMs + graceMs + 2 s whatever the
// child does, and quick when it behaves: every wait ends with the fact it waits for.
import { closeSync, fsyncSync, openSync, renameSync, writeFileSync } from 'node:fs';
import { nowMs, sleep, timerMsMax } from '../base/clock.ts';
import { messageOf } from '../base/errors.ts';
import { endRun } from './child-run.ts';
import { bundleFiles, type ExitRecord } from './contract.ts';
import type { Keeper } from './keeper.ts';
import type { Bridge, Door, Say } from './seams.ts';
import type { Spool } from './spool.ts';
import type { Tail } from './tail.ts';

export interface EndingOptions {
  readonly instanceId: string;
  readonly generation: number;
  readonly keeper: () => Keeper;
  readonly bridge: Bridge;
  readonly door: Door;
  readonly spool: Spool;
  readonly tail: Tail;
  readonly say: Say;
  /** The phase is now "stopping". */
  readonly onBegin: () => void;
  readonly exit: (code: number) => void;
}

export interface EndTimes {
  readonly drainMs: number;
  /** How long the child gets in all: up to half of it, at most a second, to leave by itself, the rest after SIGTERM. */
  readonly graceMs: number;
}

export interface Ending {
  /** Begins the end. Asked again, the first reason stands, and the shorter drain. */
  begin(reason: ExitRecord['reason'], times: EndTimes): void;
  begun(): boolean;
}

/** How long the closing of connections and the last lines of log may take. */
const closeMs = 250;
const flushMs = 500;

/** Makes the one way to the end. */
export function createEnding(options: EndingOptions): Ending {
  const { bridge, door, spool, say } = options;
  const draining = new AbortController();
  let begun = false;

  const end = async (reason: ExitRecord['reason'], graceMs: number): Promise<void> => {
    const keeper = options.keeper();
    keeper.release();
    say('info', `The instance is ending (${reason})`);
    options.onBegin();
    if (reason === 'expired') door.endLease();
    if (!keeper.child.hasExited()) await bridge.drain(draining.signal).catch(() => {});
    await Promise.all(keeper.living().map((run) => endRun(run, graceMs)));
    bridge.close();
    await Promise.race([door.close().catch(() => {}), sleep(closeMs)]);
    try {
      writeExit(exitRecord(options, reason));
    } catch (error) {
      // The supervisor proves the end by itself; without the record it only lacks the words.
      say('error', `The record of the end could not be written: ${messageOf(error)}`);
    }
    say('info', 'The instance has ended');
    await spool.flush(flushMs);
    options.exit(0);
  };

  return {
    begin(reason, times) {
      const drainMs = Math.min(Math.max(times.drainMs, 0), timerMsMax);
      setTimeout(() => draining.abort(new Error('the time to drain is over')), drainMs);
      if (begun) return;
      begun = true;
      end(reason, times.graceMs).catch((error: unknown) => {
        process.emit('uncaughtException', error as Error);
      });
    },
    begun: () => begun,
  };
}

/** The record of the end as things stand now. */
export function exitRecord(
  options: Pick<EndingOptions, 'instanceId' | 'generation' | 'keeper' | 'tail'>,
  reason: ExitRecord['reason'],
): ExitRecord {
  const keeper = options.keeper();
  return {
    instanceId: options.instanceId,
    generation: options.generation,
    reason,
    exitCode: keeper.lastExit?.code ?? null,
    signal: keeper.lastExit?.signal ?? null,
    lastLines: options.tail.lines(),
    restarts: keeper.restarts,
    wasReady: keeper.wasReady,
    at: new Date(nowMs()).toISOString(),
  };
}

/** Writes the record so that it is there whole or not at all, also after a loss of power. */
export function writeExit(record: ExitRecord): void {
  const temporary = `${bundleFiles.exit}.tmp`;
  const fd = openSync(temporary, 'w', 0o600);
  try {
    writeFileSync(fd, JSON.stringify(record));
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
  renameSync(temporary, bundleFiles.exit);
}
