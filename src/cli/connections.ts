// What `connect` changed, so that `disconnect` can put it back: a record and a copy of the file as it was, in the
// user's state directory (XDG_STATE_HOME), never beside a project's files. Tokens are in them: for their owner only.
import { createHash } from 'node:crypto';
import { mkdir, readdir, rm } from 'node:fs/promises';
import { isAbsolute, join } from 'node:path';
import { nowMs } from '../base/clock.ts';
import type { ClientConfig, ClientName } from '../domain/client-config.ts';
import { type Plan, readText, writeWhole } from './client-files.ts';
import { type Entry, withoutEntry } from './client-text.ts';

/** One change of one client. */
export interface Connection {
  readonly client: ClientName;
  /** The instance's name, which is the entry's. */
  readonly name: string;
  readonly instance_id: string;
  readonly connected_at: string;
  /** Absent for a client that has a command of its own. */
  readonly change?: Change;
}

interface Change {
  readonly file: string;
  readonly existed: boolean;
  /** SHA-256 of the file as we left it, hex. */
  readonly after: string;
  readonly entry: Entry;
}

/** A connection and where it is recorded. */
export interface Recorded {
  readonly connection: Connection;
  readonly record: string;
  /** The file as it was before; not there when it did not exist. */
  readonly backup: string;
}

type Env = Readonly<Record<string, string | undefined>>;

export function connectionsDir(env: Env, home: string): string {
  const base = env.XDG_STATE_HOME;
  const state = base !== undefined && isAbsolute(base) ? base : join(home, '.local', 'state');
  return join(state, 'minimcp', 'connections');
}

/** Keeps the file as it was, before it is changed. @returns where the record of the change belongs */
export async function keepBackup(
  dir: string,
  client: ClientName,
  name: string,
  plan?: Plan,
): Promise<string> {
  await mkdir(dir, { recursive: true, mode: 0o700 });
  const time = new Date(nowMs()).toISOString().replaceAll(/[-:.]/g, '');
  const record = join(dir, `${time}-${client}-${name}.json`);
  if (plan?.exists === true) await writeWhole(backupOf(record), plan.before);
  return record;
}

export async function writeRecord(record: string, connection: Connection): Promise<void> {
  await writeWhole(record, `${JSON.stringify(connection, null, 2)}\n`);
}

export function changeOf(plan: Plan, config: ClientConfig, after: string): Change {
  const { format, content, document } = config;
  return {
    file: plan.file,
    existed: plan.exists,
    after: sha256(after),
    entry: { format, content, document },
  };
}

/** Everything that can be undone, the newest first. */
export async function readConnections(dir: string): Promise<Recorded[]> {
  const names = await readdir(dir).catch(() => []);
  const records = names.filter((name) => name.endsWith('.json')).sort();
  const found = await Promise.all(
    records.reverse().map(async (name) => {
      const record = join(dir, name);
      const connection = JSON.parse((await readText(record)) ?? 'null') as Connection | null;
      return connection === null ? [] : [{ connection, record, backup: backupOf(record) }];
    }),
  );
  return found.flat();
}

export async function forget({ record, backup }: Recorded): Promise<void> {
  await Promise.all([rm(record, { force: true }), rm(backup, { force: true })]);
}

/** How a change can be undone now. */
export interface Undo {
  /** Whether the file is as we left it: then it becomes what it was, to the byte. */
  readonly untouched: boolean;
  /** What the file becomes; undefined: it goes. */
  readonly text: string | undefined;
}

/** @throws Fault illegal_in_status when the file has changed and our entry is not to be found in it as we left it */
export async function planUndo(change: Change, backup: string): Promise<Undo> {
  const now = (await readText(change.file)) ?? '';
  const before = (await readText(backup)) ?? '';
  if (sha256(now) === change.after) return { untouched: true, text: change.existed ? before : undefined };
  const text = withoutEntry(change.file, now, change.entry, before);
  // A file that came with our entry, and has nothing else in it, goes with it.
  const isEmpty = text.trim() === '' || text.trim() === '{}';
  return { untouched: false, text: isEmpty && !change.existed ? undefined : text };
}

export async function applyUndo(change: Change, undo: Undo): Promise<void> {
  if (undo.text === undefined) await rm(change.file, { force: true });
  else await writeWhole(change.file, undo.text);
}

/** Where the file as it was is kept. */
export function backupOf(record: string): string {
  return record.replace(/\.json$/, '.backup');
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}
