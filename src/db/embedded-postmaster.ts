// The server process: found again, proved to be ours (its working directory is the cluster, and it answers for it),
// started detached so that it outlives a killed supervisor, and stopped by a proven identity only.
import { execFile, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { open, readdir, readFile, readlink, rm, stat, truncate } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { monotonicMs, sleep } from '../base/clock.ts';
import { Fault } from '../base/errors.ts';
import { type ClusterPlan, serverSettings } from './embedded-cluster.ts';

const run = promisify(execFile);

export interface ServerPlan extends ClusterPlan {
  readonly socketDir: string;
  readonly logFile: string;
  readonly settings: Readonly<Record<string, string>>;
  /** Longest wait for a server that is recovering, milliseconds. */
  readonly readyTimeoutMs: number;
}

/** The pid of the living server of this cluster, proven; undefined when none lives. */
export async function findPostmaster(plan: ServerPlan): Promise<number | undefined> {
  const text = await readFile(join(plan.pgData, 'postmaster.pid'), 'utf8').catch(() => '');
  const pid = Number.parseInt(text, 10);
  if (!(pid > 0)) return undefined;
  if (process.platform !== 'linux') {
    return run(plan.store.pgCtl, ['status', '-D', plan.pgData]).then(
      () => pid,
      () => undefined,
    );
  }
  return (await worksIn(pid, plan.pgData)) ? pid : undefined;
}

async function worksIn(pid: number, dir: string): Promise<boolean> {
  return (await readlink(`/proc/${pid}/cwd`).catch(() => '')) === dir;
}

/**
 * Waits until nothing of a killed server works in the cluster, and takes away a pid file that names a stranger.
 * @returns false when a living server has turned up meanwhile
 */
export async function clearStale(plan: ServerPlan): Promise<boolean> {
  if (process.platform !== 'linux') return true;
  const dueMs = monotonicMs() + 10_000;
  // Backends of a killed server end by themselves. Until then the pid file is what keeps a second server away.
  while (await anyoneIn(plan.pgData)) {
    if ((await findPostmaster(plan)) !== undefined) return false;
    if (monotonicMs() > dueMs) {
      throw new Fault(
        'config_invalid',
        `processes of a dead server still work in ${plan.pgData}; end them and start again`,
      );
    }
    await sleep(50);
  }
  // PostgreSQL itself overwrites the file of a dead process; one whose number another process has now, it believes.
  const file = join(plan.pgData, 'postmaster.pid');
  const pid = Number.parseInt(await readFile(file, 'utf8').catch(() => ''), 10);
  if (pid > 0 && existsSync(`/proc/${pid}`) && !(await worksIn(pid, plan.pgData)))
    await rm(file, { force: true });
  return true;
}

async function anyoneIn(dir: string): Promise<boolean> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  const found = await Promise.all(pids.map((pid) => worksIn(Number(pid), dir)));
  return found.includes(true);
}

/** Starts the server and lets it go. It stays when we are killed. @returns a promise of its early end */
export async function launch(plan: ServerPlan): Promise<{ readonly ended: Promise<string> }> {
  const file = await open(plan.logFile, 'a', 0o600);
  try {
    const child = spawn(
      plan.store.postgres,
      ['-D', plan.pgData, ...serverSettings(plan.socketDir, plan.settings)],
      {
        detached: true,
        stdio: ['ignore', file.fd, file.fd],
        cwd: plan.pgData,
        env: { PATH: '/usr/bin:/bin', LANG: 'C', TZ: 'UTC' },
        ...(plan.owner.foreign ? { uid: plan.owner.uid, gid: plan.owner.gid } : {}),
      },
    );
    const ended = new Promise<string>((resolve) => {
      child.once('error', (error) => resolve(error.message));
      child.once('exit', (code, signal) => resolve(`it exited with ${signal ?? code}`));
    });
    child.unref();
    return { ended };
  } finally {
    await file.close();
  }
}

/** Asks the server to stop (roll back, flush, leave), then insists. Resolves when it is gone. */
export async function stopPostmaster(plan: ServerPlan): Promise<void> {
  for (const { signal, waitMs } of [
    { signal: 'SIGINT', waitMs: 30_000 },
    { signal: 'SIGQUIT', waitMs: 10_000 },
  ] as const) {
    const pid = await findPostmaster(plan);
    if (pid === undefined) return;
    process.kill(pid, signal);
    const dueMs = monotonicMs() + waitMs;
    while (monotonicMs() < dueMs) {
      if (
        (await findPostmaster(plan)) === undefined &&
        !(process.platform === 'linux' && (await worksIn(pid, plan.pgData)))
      )
        return;
      await sleep(10);
    }
  }
  throw new Fault('internal', `the embedded database in ${plan.pgData} does not stop`);
}

/** The last lines the server wrote, for an error message. */
export async function lastWords(logFile: string): Promise<string> {
  const text = await readFile(logFile, 'utf8').catch(() => '');
  return text.trimEnd().split('\n').slice(-5).join('\n');
}

/** Keeps the server's log file small; the server appends, so emptying it under it is safe. */
export async function boundLog(logFile: string, sizeBytesMax: number): Promise<void> {
  const size = await stat(logFile).then(
    (found) => found.size,
    () => 0,
  );
  if (size > sizeBytesMax) await truncate(logFile, 0);
}
