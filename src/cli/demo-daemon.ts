// The daemon the demo runs on: its own data directory, its own ports, nothing of the caller's settings. Whatever
// happens, `close` leaves no process and no file behind.
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, realpath, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, extname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { Fault } from '../base/errors.ts';
import { sweep } from './demo-sweep.ts';
import { oneLine } from './output.ts';

const readyMsMax = 90_000;
const exitMsMax = 30_000;
const linesMax = 40;

export interface DemoDaemon {
  readonly dataDir: string;
  readonly url: string;
  /** The last lines the daemon wrote, for when something fails. */
  lastLines(): readonly string[];
  /** Resolves when the daemon has exited, with a sentence about it. */
  readonly gone: Promise<string>;
  /** Stops the daemon unless it is ending by itself, waits, removes everything. Safe to call twice. */
  close(state: 'running' | 'ending'): Promise<void>;
}

type Env = Readonly<Record<string, string | undefined>>;

/** Starts it and waits for its `ready` line. @throws Fault internal with its last words */
export async function startDemoDaemon(env: Env, signal: AbortSignal): Promise<DemoDaemon> {
  const dataDir = await mkdtemp(join(await scratchBase(), 'minimcp-demo-'));
  const lines: string[] = [];
  const child = spawn(
    process.execPath,
    [join(import.meta.dirname, `main${extname(import.meta.filename)}`), 'up'],
    {
      env: demoEnvironment(env, dataDir),
      stdio: ['ignore', 'pipe', 'pipe'],
      // A group of its own: Ctrl-C reaches the demo, which then ends things in the right order.
      detached: true,
    },
  );
  const gone = new Promise<string>((resolve) => {
    child.once('error', (error) => resolve(`could not be started: ${error.message}`));
    child.once('exit', (code, by) =>
      resolve(by === null ? `exited with code ${code}` : `was ended by ${by}`),
    );
  });
  const url = readyUrl(child, lines);
  let closing: Promise<void> | undefined;
  const close = (state: 'running' | 'ending'): Promise<void> => {
    closing ??= end({ child, gone, dataDir, state });
    return closing;
  };
  try {
    const address = await firstOf(url, gone, signal);
    return { dataDir, url: address, gone, close, lastLines: () => lines };
  } catch (error) {
    await close('running');
    if (signal.aborted) throw signal.reason;
    throw new Fault('internal', [`the daemon ${String(error)}`, ...lines].join('\n'));
  }
}

/**
 * A temporary directory that the users root lends its processes can pass through, as root's own often is not. Its path
 * is the one processes will show: a link in it would hide them from the sweep.
 */
async function scratchBase(): Promise<string> {
  const own = await realpath(tmpdir());
  if (process.getuid?.() !== 0) return own;
  for (const base of [own, '/tmp', '/var/tmp']) {
    if (await isPassable(base)) return base;
  }
  return own;
}

async function isPassable(dir: string): Promise<boolean> {
  for (let at = dir; ; at = dirname(at)) {
    const mode = await stat(at).then(
      (found) => found.mode,
      () => 0,
    );
    if ((mode & 0o001) === 0) return false;
    if (at === dirname(at)) return true;
  }
}

function demoEnvironment(env: Env, dataDir: string): NodeJS.ProcessEnv {
  const kept = Object.entries(env).filter(
    ([name]) => !name.startsWith('MINIMCP_') && name !== 'DATABASE_URL',
  );
  return {
    ...Object.fromEntries(kept),
    MINIMCP_DATA_DIR: dataDir,
    MINIMCP_PORT: '0',
    ...(env.MINIMCP_PORT_RANGE === undefined ? {} : { MINIMCP_PORT_RANGE: env.MINIMCP_PORT_RANGE }),
  };
}

function readyUrl(child: ChildProcess, lines: string[]): Promise<string> {
  return new Promise((resolve) => {
    for (const stream of [child.stdout, child.stderr]) {
      if (stream === null) continue;
      createInterface({ input: stream }).on('line', (line) => {
        lines.push(plainLine(line));
        if (lines.length > linesMax) lines.shift();
        const url = urlOfReady(line);
        if (url !== undefined) resolve(url);
      });
    }
  });
}

function urlOfReady(line: string): string | undefined {
  const entry = parseEntry(line);
  return entry?.msg === 'ready' && typeof entry.url === 'string' ? entry.url : undefined;
}

/** A line of the daemon's log as people read it; anything else as it is. */
function plainLine(line: string): string {
  const entry = parseEntry(line);
  if (entry === undefined) return oneLine(line);
  return oneLine(`${String(entry.time).slice(11, 19)} ${entry.level} ${entry.msg} ${entry.reason ?? ''}`);
}

function parseEntry(line: string): Record<string, unknown> | undefined {
  if (!line.startsWith('{')) return undefined;
  try {
    return JSON.parse(line) as Record<string, unknown>;
  } catch {
    return undefined;
  }
}

/** The URL, or a rejection with why there will be none. */
function firstOf(url: Promise<string>, gone: Promise<string>, signal: AbortSignal): Promise<string> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(`was not ready after ${readyMsMax / 1_000} s`), readyMsMax);
    const onAbort = (): void => reject('was interrupted');
    const settle = (finish: () => void): void => {
      clearTimeout(timer);
      signal.removeEventListener('abort', onAbort);
      finish();
    };
    signal.addEventListener('abort', () => settle(onAbort), { once: true });
    void url.then((address) => settle(() => resolve(address)));
    void gone.then((how) => settle(() => reject(how)));
  });
}

interface Ending {
  readonly child: ChildProcess;
  readonly gone: Promise<string>;
  readonly dataDir: string;
  readonly state: 'running' | 'ending';
}

async function end({ child, gone, dataDir, state }: Ending): Promise<void> {
  // One that is ending already takes a signal as "at once".
  if (state === 'running') child.kill('SIGTERM');
  const timer = setTimeout(() => child.kill('SIGKILL'), exitMsMax);
  await gone;
  clearTimeout(timer);
  await sweep(dataDir);
  await rm(dataDir, { recursive: true, force: true, maxRetries: 5 });
}
