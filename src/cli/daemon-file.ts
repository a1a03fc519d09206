// What a running daemon leaves in its data directory so that the CLI finds it, and the proof that the process named
// there is that daemon. Never believes a bare pid: without the start time it belongs to nobody.
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Fault, messageOf } from '../base/errors.ts';

/** `<data>/daemon.json`. */
export interface DaemonFile {
  readonly url: string;
  readonly pid: number;
  /** Start time of the process in clock ticks since boot; absent where there is no /proc. */
  readonly start_ticks?: number | undefined;
  readonly boot_id?: string | undefined;
}

/**
 * The file as the daemon left it, or undefined when there is none.
 * @throws Fault daemon_unreachable when it cannot be read or makes no sense
 */
export async function readDaemonFile(dataDir: string): Promise<DaemonFile | undefined> {
  const file = join(dataDir, 'daemon.json');
  let value: unknown;
  try {
    value = JSON.parse(await readFile(file, 'utf8'));
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw new Fault('daemon_unreachable', `${file} cannot be read: ${messageOf(error)}`);
  }
  if (isDaemonFile(value)) return value;
  throw new Fault('daemon_unreachable', `${file} does not say where the daemon is; is it one of ours?`);
}

function isDaemonFile(value: unknown): value is DaemonFile {
  if (typeof value !== 'object' || value === null) return false;
  if (!('url' in value) || typeof value.url !== 'string' || !URL.canParse(value.url)) return false;
  return 'pid' in value && Number.isSafeInteger(value.pid) && Number(value.pid) > 1;
}

/** Whether the process that wrote the file still lives: same boot, same pid, same start time, no zombie. */
export async function isAlive(daemon: DaemonFile): Promise<boolean> {
  const read = (file: string): Promise<string> => readFile(`/proc/${file}`, 'utf8').catch(() => '');
  const [stat, bootId] = await Promise.all([read(`${daemon.pid}/stat`), read('sys/kernel/random/boot_id')]);
  if (stat === '' || (daemon.boot_id !== undefined && daemon.boot_id !== bootId.trim())) return false;
  // The name in parentheses may hold anything: fields count from after the last one.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const [state] = fields;
  return state !== 'Z' && state !== 'X' && Number(fields[19]) === daemon.start_ticks;
}
