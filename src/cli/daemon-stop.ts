// Ending a daemon of this machine, and before it, if wanted, everything it runs. Signals only a process that is
// proved to be the daemon; waits until it is gone and says so when it does not go.
import type { InstanceView } from '../api/contract.ts';
import { monotonicMs, sleep } from '../base/clock.ts';
import { Fault } from '../base/errors.ts';
import type { Context } from './context.ts';
import { type DaemonFile, isAlive } from './daemon-file.ts';

/** The daemon gives itself 10 s, and its database some more. */
const stopMsMax = 30_000;
/** Instances drain and end first, many at once. */
const endMsMax = 90_000;
const pollMs = 100;
const atWork: ReadonlySet<string> = new Set(['pending', 'running', 'stopping']);

/**
 * Stops the daemon and leaves its instances running.
 * @throws Fault internal when it is still there after 30 s
 */
export async function stopDaemon(daemon: DaemonFile, signal: AbortSignal): Promise<void> {
  if (await isAlive(daemon)) process.kill(daemon.pid, 'SIGTERM');
  await untilGone(daemon, stopMsMax, signal);
}

/**
 * Has the daemon end every instance and then itself. No signal: a second request to stop would cut the first short.
 * @returns how many instances were at work
 * @throws Fault internal when it is still there after 90 s
 */
export async function endEverything(context: Context, daemon: DaemonFile): Promise<number> {
  const ended = await requestEnd(context.api);
  await untilGone(daemon, endMsMax, context.signal);
  return ended;
}

/** Asks the daemon to end every instance and then itself. @returns how many instances were at work */
export async function requestEnd(api: Context['api']): Promise<number> {
  const { data } = await api.all<InstanceView>('/instances');
  await api.send('POST', '/drain', { body: { end_instances: true } });
  return data.filter((instance) => atWork.has(instance.status)).length;
}

async function untilGone(daemon: DaemonFile, ms: number, signal: AbortSignal): Promise<void> {
  const endMs = monotonicMs() + ms;
  while (await isAlive(daemon)) {
    if (monotonicMs() > endMs) {
      throw new Fault('internal', `the daemon (pid ${daemon.pid}) is still there after ${ms / 1_000} s`);
    }
    await sleep(pollMs, signal);
  }
}
