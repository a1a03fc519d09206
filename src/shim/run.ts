// Puts the parts of a shim together and wires them: child → bridge and log, door → bridge, control and lease → end.
// Here is every trigger of the end. A failure of the shim itself ends the child with it.
import { rmSync, writeSync } from 'node:fs';
import { afterMonotonic } from '../base/clock.ts';
import { messageOf } from '../base/errors.ts';
import type { Era } from '../domain/server-type.ts';
import { createBridge } from './bridge/bridge.ts';
import type { Child } from './child.ts';
import {
  bundleFiles,
  contractVersion,
  type ExitRecord,
  type LaunchSpec,
  type Lease,
  type ShimState,
} from './contract.ts';
import { createControl } from './control.ts';
import { createDoor } from './door.ts';
import { startEgress } from './egress.ts';
import { createEnding, exitRecord, writeExit } from './end.ts';
import { createKeeper, type Keeper } from './keeper.ts';
import { cleanMeta, cleanText, cutText } from './log-text.ts';
import { readOutput } from './output.ts';
import { createPace } from './pace.ts';
import { probeSibling } from './probe-era.ts';
import { createLearningRedactor } from './redact.ts';
import type { Say, ServerInfo } from './seams.ts';
import { openSpool } from './spool.ts';
import { createTail } from './tail.ts';

/** Words of the shim in its log: so many at once, then so many a second; the rest is counted. */
const wordsAtOnce = 500;
const wordsPerSecond = 50;
/** How long after the first readiness a server of unknown era is asked about it. */
const eraProbeDelayMs = 2_000;

/** Runs the instance to its end, which is the end of the process. */
export function run(spec: LaunchSpec, first: Child): void {
  const { bounds } = spec;
  const redact = createLearningRedactor(spec.secrets);
  const text = { redact, lineBytesMax: bounds.logLineBytesMax };
  const tail = createTail(text);
  rmSync(bundleFiles.exit, { force: true });
  const spool = openSpool({
    directory: bundleFiles.spool,
    spoolBytesMax: bounds.spoolBytesMax,
    segmentBytes: bounds.spoolSegmentBytes,
    budget: spec.logBudget ?? { bytesPerDay: Number.POSITIVE_INFINITY, usedBytes: 0 },
    onWritten: () => control.spooled(),
  });
  let keeper: Keeper | undefined;
  const pace = createPace(wordsAtOnce, wordsPerSecond);
  let unsaid = 0;
  const say: Say = (level, message, meta) => {
    if (!pace.take()) {
      unsaid += 1;
      return;
    }
    if (unsaid > 0) {
      spool.append('system', 'warn', `${unsaid} messages were left out here: too many at once`, { unsaid });
      unsaid = 0;
    }
    if (level === 'error' && !keeper?.wasReady) tail.note(message);
    const word = cutText(cleanText(message, redact), bounds.logLineBytesMax);
    spool.append('system', level, word, meta && (cleanMeta(meta, redact) as Record<string, unknown>));
  };

  let era: Era | undefined;
  if (spec.egress) startEgress({ ...spec.egress, say });
  const bridge = createBridge({ spec, say });
  const door = createDoor({ spec, say, handle: (request, response) => bridge.handle(request, response) });
  let { expiresAt } = spec.lease;
  const state = (): ShimState => ({
    contract: contractVersion,
    instanceId: spec.instanceId,
    generation: spec.generation,
    pid: process.pid,
    phase: kept.phase,
    childPid: kept.child.hasExited() ? null : kept.child.pid,
    restarts: kept.restarts,
    // What it says of itself may say too much.
    server: kept.server && (cleanMeta(kept.server, redact) as ServerInfo),
    ...(era === undefined ? {} : { era }),
    ...bridge.counters(),
    rssBytes: process.memoryUsage.rss(),
    expiresAt,
    ...(kept.keyVersion === null ? {} : { keyVersion: kept.keyVersion }),
    ...(kept.roll === undefined ? {} : { roll: kept.roll }),
  });
  const control = createControl({
    state,
    onStop: (reason, { portTaken, ...times }) => {
      if (portTaken) door.leavePort();
      ending.begin(reason, times);
    },
    onDeadline: setLease,
    onToken: (tokenSha256) => door.setToken(tokenSha256),
    onVisitor: (visitor) => door.admit(visitor),
    onKey(key) {
      redact.learn(key.value);
      kept.changeKey(key);
    },
  });
  const identity = { instanceId: spec.instanceId, generation: spec.generation, keeper: () => kept, tail };
  const ending = createEnding({
    ...identity,
    bridge,
    door,
    spool,
    say,
    onBegin: () => control.stateChanged(),
    exit: (code) => {
      rmSync(bundleFiles.controlSocket, { force: true });
      process.exit(code);
    },
  });
  const fail = (reason: ExitRecord['reason'], word: string): void => {
    if (ending.begun()) return;
    say('error', word);
    ending.begin(reason, { drainMs: 0, graceMs: spec.graceMs });
  };
  const kept = createKeeper({
    spec,
    first,
    bridge,
    readOutput: (child, ofChild) =>
      readOutput({ child, transport: spec.child.transport, bridge, spool, tail: ofChild, text, bounds, say }),
    tail,
    newTail: () => createTail(text),
    say,
    onPhase: () => {
      control.stateChanged();
      if (kept.phase === 'running') findEra();
    },
    onFailed: fail,
  });
  keeper = kept;

  // Later, and only once: the first calls of the instance must not share the processor with a probe.
  let asked = spec.child.era !== 'unknown' || spec.child.transport !== 'stdio';
  function findEra(): void {
    if (asked) return;
    asked = true;
    setTimeout(async () => {
      if (ending.begun()) return;
      era =
        bridge.era() === 'modern' ? 'modern' : await probeSibling(kept.childSpec, spec.child.startTimeoutMs);
      control.stateChanged();
    }, eraProbeDelayMs).unref();
  }

  let cancelDeadline = (): void => {};
  function setLease(lease: Lease): void {
    cancelDeadline();
    expiresAt = lease.expiresAt;
    door.setLease(lease);
    cancelDeadline = afterMonotonic(lease.remainingMs, () =>
      ending.begin('expired', { drainMs: spec.drainMs, graceMs: spec.graceMs }),
    );
  }
  setLease(spec.lease);

  const { host, port } = spec.listen;
  door
    .listen()
    .catch((error: unknown) => fail('start_failed', `Port ${port} of ${host}: ${portWord(error)}`));
  control.listen().catch((error: unknown) => fail('start_failed', `Control socket: ${messageOf(error)}`));

  process.on('SIGTERM', () => ending.begin('user', { drainMs: spec.drainMs, graceMs: spec.graceMs }));
  process.on('SIGINT', () => ending.begin('user', { drainMs: spec.drainMs, graceMs: spec.graceMs }));
  process.on('SIGHUP', () => {});
  process.on('uncaughtException', (error: unknown) => {
    writeSync(2, `${redact(error instanceof Error ? (error.stack ?? error.message) : String(error))}\n`);
    for (const { child } of kept.living()) child.signal('SIGKILL');
    tail.note(`The shim failed: ${messageOf(error)}`);
    spool.flushNow();
    try {
      writeExit(exitRecord(identity, 'crashed'));
    } finally {
      process.exit(1);
    }
  });
  kept.start();
}

function portWord(error: unknown): string {
  const { code } = error as NodeJS.ErrnoException;
  return code === 'EADDRINUSE' ? 'something else is listening on it (EADDRINUSE)' : messageOf(error);
}
