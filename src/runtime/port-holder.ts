// Who listens on a port of this machine, for a message to whoever wanted it. A guess from /proc that signals nobody: what
// cannot be read (another user's process, no /proc at all) is unknown, never an error.
import { readdirSync, readlinkSync } from 'node:fs';
import { readProc } from './process-identity.ts';

export interface PortHolder {
  readonly pid: number;
  /** Program and first argument: what tells programs of one interpreter apart, and no more of the line. */
  readonly command: string;
}

const listenState = '0A';
const wordsMax = 2;
const commandCharsMax = 160;

/** The process that listens on a TCP port, or undefined when that cannot be told. */
export function findPortHolder(port: number): PortHolder | undefined {
  const sockets = new Set(['/proc/net/tcp', '/proc/net/tcp6'].flatMap((path) => listening(path, port)));
  if (sockets.size === 0) return undefined;
  const pid = namesIn('/proc')
    .filter((name) => /^\d+$/.test(name))
    .find((name) => namesIn(`/proc/${name}/fd`).some((fd) => sockets.has(linkOf(`/proc/${name}/fd/${fd}`))));
  return pid === undefined ? undefined : { pid: Number(pid), command: commandOf(pid) };
}

/** Sockets that listen on the port, as links in /proc/PID/fd name them. */
function listening(path: string, port: number): string[] {
  const wanted = `:${port.toString(16).toUpperCase().padStart(4, '0')}`;
  return (readProc(path) ?? '')
    .split('\n')
    .map((line) => line.trim().split(/\s+/))
    .filter(([, local = '', , state]) => local.endsWith(wanted) && state === listenState)
    .map((fields) => `socket:[${fields[9]}]`);
}

function commandOf(pid: string): string {
  const words = (readProc(`/proc/${pid}/cmdline`) ?? '').split('\0').filter((word) => word !== '');
  // Text of a foreign process on its way to a terminal.
  return words
    .slice(0, wordsMax)
    .join(' ')
    .replaceAll(/[^\x20-\x7e]/g, '?')
    .slice(0, commandCharsMax);
}

function namesIn(path: string): string[] {
  try {
    return readdirSync(path);
  } catch {
    return [];
  }
}

function linkOf(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return '';
  }
}
