// What a crashed daemon cannot end any more: processes found by the demo's data directory in their command line or as
// their working directory, a path nobody else has. Fails when one of them cannot be ended.
import { readdir, readFile, readlink } from 'node:fs/promises';
import { monotonicMs, sleep } from '../base/clock.ts';
import { Fault } from '../base/errors.ts';

const sweepMsMax = 10_000;

/** Ends every process that lives in the data directory, and waits until none does. */
export async function sweep(dataDir: string): Promise<void> {
  const startedMs = monotonicMs();
  for (;;) {
    const pids = await residents(dataDir);
    if (pids.length === 0) return;
    const spentMs = monotonicMs() - startedMs;
    if (spentMs > sweepMsMax) {
      throw new Fault('internal', `processes ${pids.join(', ')} of ${dataDir} could not be ended`);
    }
    // First a request, so that the database can close its files; then no more asking.
    for (const pid of pids) kill(pid, spentMs < sweepMsMax / 2 ? 'SIGTERM' : 'SIGKILL');
    await sleep(200);
  }
}

async function residents(dataDir: string): Promise<number[]> {
  const entries = (await readdir('/proc').catch(() => []))
    .map(Number)
    .filter((pid) => pid > 1 && pid !== process.pid);
  const found = await Promise.all(
    entries.map(async (pid) => {
      const [cwd, argv] = await Promise.all([
        readlink(`/proc/${pid}/cwd`).catch(() => ''),
        readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => ''),
      ]);
      return `${cwd}/`.startsWith(`${dataDir}/`) || argv.includes(dataDir) ? [pid] : [];
    }),
  );
  return found.flat();
}

function kill(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {
    // Gone meanwhile, which is what was wanted.
  }
}
