// API keys at rest: sealed when they come in, opened only to launch, shown never. It refuses with secrets_unavailable
// whatever it cannot open; running instances do not notice.
import { Fault } from '../base/errors.ts';
import type { Db } from '../db/pool.ts';
import {
  type ApiKeyEntry,
  deleteApiKey,
  listApiKeys,
  listApiKeysNotUnder,
  readApiKey,
  replaceEnvelopes,
  upsertApiKey,
} from '../db/queries/api-keys.ts';
import { kidOf, open, seal } from './cipher.ts';
import type { Keyring, KeyState } from './keyring.ts';

export interface VaultStatus {
  readonly ok: boolean;
  readonly problem: string | null;
  readonly keys: readonly KeyState[];
}

export interface Rotation {
  /** Secrets now under the active key that were not before. */
  readonly moved: number;
  /** Secrets that could not be opened, and stay as they are. */
  readonly failed: number;
}

export interface OpenedKey {
  readonly id: string;
  /** Another one with each replacement; sealing it under another master key is none. */
  readonly version: string;
  readonly plaintext: string;
}

export interface Vault {
  /** Stores a person's key for a type, in place of an older one. */
  put(
    userId: string,
    typeId: string,
    typeName: string,
    plaintext: string,
    expiresAt: Date | null,
  ): Promise<ApiKeyEntry>;
  /** The key itself, for a launch; null when there is none or it has expired. @throws Fault secrets_unavailable */
  open(userId: string, typeId: string): Promise<OpenedKey | null>;
  list(userId: string): Promise<readonly ApiKeyEntry[]>;
  /** @returns false when there was none */
  remove(userId: string, typeId: string): Promise<boolean>;
  /** Seals everything again under the active key. Stops between batches when the signal aborts; run it again to go on. */
  rotate(signal: AbortSignal): Promise<Rotation>;
  status(): Promise<VaultStatus>;
}

const field = 'api_key';
const batchMax = 50;
/** From this length on four characters tell keys apart and give nothing away. */
const hintedCharsMin = 12;

export function createVault({ db, keyring }: { readonly db: Db; readonly keyring: Keyring }): Vault {
  const openRow = async (
    userId: string,
    typeId: string,
  ): Promise<(OpenedKey & { envelope: string }) | null> => {
    const row = await readApiKey(db, userId, typeId);
    if (row === undefined) return null;
    const { id, version, encrypted_key: envelope } = row;
    const master = await keyring.find(kidOf(envelope));
    return { id, version, envelope, plaintext: open(master, { userId, typeId, field }, envelope) };
  };
  /** The envelope that holds this key already; stored again it is not another one. */
  const sameKey = async (plaintext: string, userId: string, typeId: string): Promise<string | null> => {
    // One that cannot be opened may still be replaced.
    const stored = await openRow(userId, typeId).catch(() => null);
    return stored?.plaintext === plaintext ? stored.envelope : null;
  };
  return {
    async put(userId, typeId, typeName, plaintext, expiresAt) {
      const hint = plaintext.length >= hintedCharsMin ? plaintext.slice(-4) : null;
      for (let attempt = 0; attempt < 2; attempt += 1) {
        const master = await keyring.active();
        const sameAs = await sameKey(plaintext, userId, typeId);
        const { envelope, nonce } = seal(master, { userId, typeId, field }, plaintext);
        const key = { userId, typeId, expiresAt, envelope, nonce, keyId: master.kid, hint, sameAs };
        const row = await upsertApiKey(db, key);
        if (row !== undefined) return { ...row, mcp_type: typeName };
        // Another process has retired the key that is active here: learn of its successor.
        await keyring.reload();
      }
      throw new Fault('secrets_unavailable', 'the master key has been retired');
    },
    open: (userId, typeId) => openRow(userId, typeId),
    list: (userId) => listApiKeys(db, userId),
    remove: (userId, typeId) => deleteApiKey(db, userId, typeId),
    rotate: (signal) => rotate(db, keyring, signal),
    status: async () => {
      const keys = await keyring.states();
      const problem = keyring.problem();
      return { ok: problem === null, problem, keys };
    },
  };
}

async function rotate(db: Db, keyring: Keyring, signal: AbortSignal): Promise<Rotation> {
  await keyring.reload();
  const master = await keyring.active();
  let moved = 0;
  let failed = 0;
  for (let after: string | null = null; !signal.aborted; ) {
    const rows = await listApiKeysNotUnder(db, master.kid, after, batchMax);
    after = rows.at(-1)?.id ?? null;
    if (after === null) break;
    const changes = [];
    for (const row of rows) {
      const binding = { userId: row.user_id, typeId: row.mcp_type_id, field };
      try {
        const plaintext = open(await keyring.find(kidOf(row.encrypted_key)), binding, row.encrypted_key);
        changes.push({ id: row.id, old: row.encrypted_key, ...seal(master, binding, plaintext) });
      } catch {
        failed += 1;
      }
    }
    // A key that its owner has replaced meanwhile is already under the active one, and is left alone.
    moved += await replaceEnvelopes(db, master.kid, changes);
  }
  return { moved, failed };
}
