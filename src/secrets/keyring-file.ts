// The file of master keys: read only when nobody else can read it, written whole and in one step. Everything wrong with
// it is the Fault secrets_unavailable, which says what to do; what a key is never appears in one.
import { randomBytes } from 'node:crypto';
import { type FileHandle, link, open, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { z } from 'zod';
import { syncPath } from '../base/durable.ts';
import { Fault } from '../base/errors.ts';
import { isKid, keyBytes, type MasterKey } from './cipher.ts';

export interface RingKey extends MasterKey {
  readonly state: 'active' | 'decrypt';
  /** RFC 3339. */
  readonly createdAt: string;
}

const entrySchema = z.object({
  kid: z.string().refine(isKid),
  key: z.base64url(),
  state: z.enum(['active', 'decrypt']),
  created_at: z.string(),
});
const fileSchema = z.object({ version: z.literal(1), keys: z.array(entrySchema).min(1).max(100) });
const fileBytesMax = 64 * 1024;

/** A fresh key, to become the active one. */
export function newRingKey(now: Date): RingKey {
  const kid = `k${now.toISOString().slice(0, 10).replaceAll('-', '')}-${randomBytes(3).toString('hex')}`;
  return { kid, key: randomBytes(keyBytes), state: 'active', createdAt: now.toISOString() };
}

/** Reads the ring; undefined when there is no such file. */
export async function readRing(path: string): Promise<readonly RingKey[] | undefined> {
  let handle: FileHandle;
  try {
    handle = await open(path, 'r');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw fault(
      `${path} cannot be read (${(error as NodeJS.ErrnoException).code}); give it to the supervisor's user`,
    );
  }
  try {
    const { mode, uid, size } = await handle.stat();
    const own = process.getuid?.() ?? uid;
    if (uid !== own && uid !== 0) throw fault(`${path} belongs to uid ${uid}; run "chown ${own} ${path}"`);
    if ((mode & 0o077) !== 0) throw fault(`${path} can be read by others; run "chmod 600 ${path}"`);
    if (size > fileBytesMax) throw fault(`${path} is no ring of master keys; restore it from a backup`);
    return parse(path, await handle.readFile('utf8'));
  } finally {
    await handle.close();
  }
}

function parse(path: string, text: string): readonly RingKey[] {
  const broken = fault(`${path} is damaged; restore it from a backup`);
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    throw broken;
  }
  const parsed = fileSchema.safeParse(json);
  if (!parsed.success) throw broken;
  const keys = parsed.data.keys.map(({ kid, key, state, created_at: createdAt }) => ({
    ...{ kid, state, createdAt },
    key: Buffer.from(key, 'base64url'),
  }));
  if (keys.some(({ key }) => key.length !== keyBytes)) throw broken;
  if (new Set(keys.map(({ kid }) => kid)).size !== keys.length) throw broken;
  if (keys.filter(({ state }) => state === 'active').length !== 1) throw broken;
  return keys;
}

/** Writes the first ring. @returns false when there is a file already, which stays as it is */
export async function createRing(path: string, keys: readonly RingKey[]): Promise<boolean> {
  const draft = await writeDraft(path, keys);
  try {
    // A link, unlike a rename, never replaces what another supervisor has just made.
    await link(draft, path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw fault(`${path} cannot be written (${(error as NodeJS.ErrnoException).code})`);
  } finally {
    await rm(draft, { force: true });
  }
  // The name as well as the bytes: a lost ring is every secret lost.
  await syncPath(dirname(path));
  return true;
}

/** Replaces the ring. */
export async function writeRing(path: string, keys: readonly RingKey[]): Promise<void> {
  const draft = await writeDraft(path, keys);
  await rename(draft, path);
  await syncPath(dirname(path));
}

async function writeDraft(path: string, keys: readonly RingKey[]): Promise<string> {
  const draft = `${path}.${randomBytes(6).toString('hex')}`;
  const text = JSON.stringify({
    version: 1,
    keys: keys.map(({ kid, key, state, createdAt }) => ({
      ...{ kid, state, created_at: createdAt },
      key: key.toString('base64url'),
    })),
  });
  let handle: FileHandle;
  try {
    handle = await open(draft, 'wx', 0o600);
  } catch (error) {
    throw fault(`${path} cannot be written (${(error as NodeJS.ErrnoException).code})`);
  }
  try {
    await handle.writeFile(`${text}\n`);
    await handle.sync();
  } finally {
    await handle.close();
  }
  return draft;
}

function fault(detail: string): Fault {
  return new Fault('secrets_unavailable', detail);
}
