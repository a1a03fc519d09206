// Starts a server once, to see what it is: in the highest isolation there is, without a network, with made-up values where
// it wants a key, for a minute at most. It runs like an instance, under a driver of its own in a directory of its own: no
// row, no port of the pool, no log line, and nothing left of it afterwards. Without a sandbox nothing is started.
import { randomUUID } from 'node:crypto';
import { chmod, mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { monotonicMs, nowMs, sleep } from '../base/clock.ts';
import { messageOf } from '../base/errors.ts';
import { hashToken, newToken } from '../base/tokens.ts';
import { limitsOf } from '../domain/limits.ts';
import { type Era, type ServerType, type Trial, waitingTrial } from '../domain/server-type.ts';
import type { Driver, Handle, Inspection } from '../runtime/driver.ts';
import { reaches } from '../runtime/ladder.ts';
import { freePort } from '../runtime/launch-spec.ts';
import { createLocalDriver } from '../runtime/local.ts';
import type { LocalDriverOptions } from '../runtime/local-state.ts';
import { keepable, listTools } from './trial-tools.ts';

export interface Tried {
  readonly trial: Trial;
  /** What the server speaks; undefined when that was not found out. */
  readonly era: Era | undefined;
}

export type TryType = (type: ServerType, signal: AbortSignal) => Promise<Tried>;

/** Everything a driver needs; the data directory is that of the daemon. */
export type TrialOptions = Omit<LocalDriverOptions, 'origins' | 'epoch' | 'instanceHost'>;

/** The rung below which a stranger's program is not started before an admin has said yes: its own files, no network. */
const levelMin = 'L3';
const startMsMax = 20_000;
/** What its end may take after that, with its last words. */
const endMsMax = 5_000;
/** The shim asks a sibling about the era some seconds after the first readiness. */
const eraMsMax = 20_000;
const leaseMs = startMsMax + eraMsMax + 10_000;
const pollMs = 100;
const lastLinesMax = 20;
const limits = limitsOf(
  { memory: '512m', processes: 128, disk: '256m' },
  { memoryMbMax: 512, cpuPercentMax: 100 },
);
const host = '127.0.0.1';

export function createTrial(options: TrialOptions): TryType {
  const dataDir = join(options.dataDir, 'trials');
  return async (type, signal) => {
    if (type.transport !== 'stdio') {
      return skipped(
        'a server that is reached over HTTP needs the network of the machine to be reached at all',
      );
    }
    await mkdir(dataDir, { recursive: true, mode: 0o711 });
    await chmod(dataDir, 0o711);
    const driver = await createLocalDriver({
      ...options,
      ...{ dataDir, instanceHost: host, origins: [], epoch: () => 1 },
    });
    try {
      // What a kill left of an earlier one.
      for (const handle of await driver.list()) await end(driver, handle);
      return await tryEras(driver, type, signal);
    } finally {
      await driver.close();
      await rm(dataDir, { recursive: true, force: true, maxRetries: 3 });
    }
  };
}

async function tryEras(driver: Driver, type: ServerType, signal: AbortSignal): Promise<Tried> {
  const { isolation, ladder } = await driver.probe();
  if (!reaches(isolation, levelMin)) {
    const missing = ladder.flatMap((rung) =>
      rung.missing === null ? [] : [`${rung.level}: ${rung.missing}`],
    );
    return skipped(
      `this machine reaches isolation ${isolation}, and a server nobody has looked at is started in ${levelMin} or more ` +
        `(${missing.join('; ')})`,
    );
  }
  const first = await tryOnce(driver, type, signal);
  if (first.refused !== true || type.era !== 'unknown') return first;
  // It said no to the legacy opening: one of the modern era only does.
  const second = await tryOnce(driver, { ...type, era: 'modern' }, signal);
  return second.trial.state === 'passed' ? second : first;
}

interface Once extends Tried {
  /** It ended, or was ended, because of how it answered. */
  readonly refused?: boolean;
}

async function tryOnce(driver: Driver, type: ServerType, signal: AbortSignal): Promise<Once> {
  const startedMs = monotonicMs();
  const accessToken = newToken('mcp_');
  const port = await freePort();
  const { isolation } = await driver.probe();
  const verdict = (more: Partial<Trial>): Trial => ({
    ...waitingTrial,
    ...{ isolation, at: new Date(nowMs()).toISOString(), duration_ms: Math.round(monotonicMs() - startedMs) },
    ...more,
  });
  let handle: Handle | undefined;
  try {
    handle = await driver.start({
      ...{ instanceId: randomUUID(), generation: 1, port, drainMs: 0, limits, minIsolation: levelMin },
      type: { ...type, egress: 'none', read_only_paths: [], start_timeout_seconds: startMsMax / 1_000 },
      tokenSha256: hashToken(accessToken).toString('hex'),
      remainingMs: leaseMs,
      expiresAt: new Date(nowMs() + leaseMs),
      config: madeUpConfig(type),
      apiKey: type.key_variable === null ? null : 'minimcp-trial-no-real-key',
      publicHosts: [],
    });
    const found = await until(
      driver,
      handle,
      startMsMax + endMsMax,
      signal,
      ({ phase }) => phase === 'running',
    );
    if (found.state !== 'alive') {
      const refused = found.exit?.reason === 'start_failed';
      return { trial: verdict(failureOf(found)), era: undefined, refused };
    }
    const { server } = found.shim;
    const offered = await listTools({ url: `http://${host}:${port}/mcp`, accessToken, signal });
    const era = type.era === 'unknown' ? await eraOf(driver, handle, signal) : type.era;
    return {
      era,
      trial: verdict({
        ...{ state: 'passed', tools: offered.tools, tools_total: offered.total },
        protocol_version: server === null ? null : keepable(server.protocolVersion, 50),
        server:
          server === null
            ? null
            : { name: keepable(server.name, 200), version: keepable(server.version, 100) },
      }),
    };
  } catch (error) {
    signal.throwIfAborted();
    return {
      trial: verdict({ state: 'failed', problem: keepable(messageOf(error), 2_000) }),
      era: undefined,
    };
  } finally {
    if (handle !== undefined) await end(driver, handle);
  }
}

/** Looks until its shim says so, or it has ended. @throws when neither comes about in time */
async function until(
  driver: Driver,
  handle: Handle,
  msMax: number,
  signal: AbortSignal,
  isIt: (shim: Extract<Inspection, { state: 'alive' }>['shim']) => boolean,
): Promise<Exclude<Inspection, { state: 'silent' }>> {
  const dueMs = monotonicMs() + msMax;
  for (;;) {
    const found = await driver.inspect(handle);
    if (found.state === 'ended' || (found.state === 'alive' && isIt(found.shim))) return found;
    if (monotonicMs() > dueMs) throw new Error(`it did not come so far within ${msMax / 1_000} s`);
    await sleep(pollMs, signal);
  }
}

async function eraOf(driver: Driver, handle: Handle, signal: AbortSignal): Promise<Era | undefined> {
  const found = await until(driver, handle, eraMsMax, signal, ({ era }) => era !== undefined).catch(
    () => undefined,
  );
  return found?.state === 'alive' ? found.shim.era : undefined;
}

function failureOf(found: Inspection): Partial<Trial> {
  const exit = found.state === 'ended' ? found.exit : null;
  const how =
    exit?.exitCode == null ? (exit?.signal ?? 'for an unknown cause') : `with code ${exit.exitCode}`;
  return {
    state: 'failed',
    problem:
      exit?.reason === 'start_timeout'
        ? `it did not answer within ${startMsMax / 1_000} s`
        : `it ended before it was ready (${how})`,
    last_lines: (exit?.lastLines ?? []).slice(-lastLinesMax).map((line) => keepable(line, 1_000)),
  };
}

async function end(driver: Driver, handle: Handle): Promise<void> {
  await driver.stop(handle, { reason: 'user', drainMs: 0, graceMs: 500 });
}

function skipped(problem: string): Tried {
  const at = new Date(nowMs()).toISOString();
  return { trial: { ...waitingTrial, state: 'skipped', at, problem }, era: undefined };
}

/** Something for everything that must be said; nobody's real values. */
function madeUpConfig(type: ServerType): Record<string, unknown> {
  const slots = (type.config_template.arguments ?? []) as readonly { name: string }[];
  const isSlot = (name: string): boolean => slots.some((slot) => slot.name === name);
  const needed = type.inputs.filter(
    (input) => input.is_required && !input.is_secret && input.default === undefined,
  );
  const pairs = needed.map((input) => [input.name, input.choices?.[0] ?? madeUp(input.name)] as const);
  return {
    environment: Object.fromEntries(pairs.filter(([name]) => !isSlot(name))),
    arguments: Object.fromEntries(pairs.filter(([name]) => isSlot(name))),
  };
}

function madeUp(name: string): string {
  if (/url|uri|endpoint/i.test(name)) return 'http://127.0.0.1:9/';
  if (/port|count|size|limit|timeout/i.test(name)) return '9';
  // biome-ignore lint/suspicious/noTemplateCurlyInString: stands for the home
  return /dir|path|folder|root|file/i.test(name) ? '${HOME}' : 'trial';
}
