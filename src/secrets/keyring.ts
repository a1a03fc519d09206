// The ring of master keys: one seals, all open. The file holds the keys, the database their check values and which one
// is active. A key whose check value is wrong is not used: what it sealed stays shut (secrets_unavailable), and nothing
// else is affected.
import { nowMs } from '../base/clock.ts';
import { Fault, messageOf } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import type { Db } from '../db/pool.ts';
import { countApiKeysByKey } from '../db/queries/api-keys.ts';
import {
  type CryptoKeyRow,
  listCryptoKeys,
  registerCryptoKey,
  retireCryptoKey,
} from '../db/queries/crypto-keys.ts';
import { cannotOpen, checkValueOf, type MasterKey, passesCheck } from './cipher.ts';
import { createRing, newRingKey, type RingKey, readRing, writeRing } from './keyring-file.ts';

export interface KeyState {
  readonly key_id: string;
  readonly state: 'active' | 'decrypt' | 'retired';
  /** Whether it is in the file and passes its check. */
  readonly usable: boolean;
  /** Secrets sealed under it. */
  readonly secrets: number;
}

export interface Keyring {
  /** The key that seals. @throws Fault secrets_unavailable */
  active(): Promise<MasterKey>;
  /** A key that opens. @throws Fault secrets_unavailable */
  find(kid: string): Promise<MasterKey>;
  /** What is wrong with the ring, in words for an admin; null when nothing is. */
  problem(): string | null;
  states(): Promise<readonly KeyState[]>;
  /** Reads file and database again. */
  reload(): Promise<void>;
  /** Makes a new key and has it seal from now on. @returns its id */
  add(): Promise<string>;
  /** Takes a key out for good. @throws Fault illegal_in_status while it is active or secrets are sealed under it */
  retire(kid: string): Promise<void>;
}

export interface KeyringOptions {
  readonly db: Db;
  readonly file: string;
  readonly log: Logger;
}

interface Ring {
  readonly usable: ReadonlyMap<string, MasterKey>;
  readonly activeKid: string | undefined;
  readonly problems: readonly string[];
}

/** Opens the ring, making the first one. A ring in disorder does not throw: it shows in `problem`, and in what it is asked for. */
export async function openKeyring(options: KeyringOptions): Promise<Keyring> {
  const { db, file } = options;
  let ring: Ring = { usable: new Map(), activeKid: undefined, problems: [] };

  const reload = async (): Promise<void> => {
    try {
      ring = await load(options);
    } catch (error) {
      if (error instanceof Fault && error.code === 'database_unavailable') throw error;
      ring = { usable: new Map(), activeKid: undefined, problems: [messageOf(error)] };
    }
    for (const problem of ring.problems) options.log.error({ problem }, 'the master keys are in disorder');
  };
  await reload();

  const find = async (kid: string): Promise<MasterKey> => {
    // Another process may have added it since.
    if (!ring.usable.has(kid)) await reload();
    const key = ring.usable.get(kid);
    if (key === undefined) throw cannotOpen();
    return key;
  };

  return {
    find,
    reload,
    active: async () => {
      if (ring.activeKid === undefined) await reload();
      if (ring.activeKid === undefined) throw new Fault('secrets_unavailable', 'no master key can seal');
      return find(ring.activeKid);
    },
    problem: () => (ring.problems.length === 0 ? null : ring.problems.join('; ')),
    states: async () => {
      const counts = await countApiKeysByKey(db);
      return (await listCryptoKeys(db)).map((row) => ({
        key_id: row.key_id,
        state: row.state,
        usable: ring.usable.has(row.key_id),
        secrets: counts.get(row.key_id) ?? 0,
      }));
    },
    add: async () => {
      const key = newRingKey(new Date(nowMs()));
      const old = (await readRing(file)) ?? [];
      // The file first: a key the database knows and nobody has would be worse than one it does not know yet.
      await writeRing(file, [...old.map((entry): RingKey => ({ ...entry, state: 'decrypt' })), key]);
      await db.tx((tx) => registerCryptoKey(tx, key.kid, checkValueOf(key)));
      await reload();
      return key.kid;
    },
    retire: async (kid) => {
      await db.tx((tx) => retireCryptoKey(tx, kid));
      const left = ((await readRing(file)) ?? []).filter((entry) => entry.kid !== kid);
      if (left.length > 0) await writeRing(file, left);
      await reload();
    },
  };
}

async function load({ db, file, log }: KeyringOptions): Promise<Ring> {
  let known = await listCryptoKeys(db);
  let keys = await readRing(file);
  if (keys === undefined) {
    if (known.some((row) => row.state !== 'retired')) {
      throw new Fault(
        'secrets_unavailable',
        `${file} is missing; restore it from a backup, or name the right one`,
      );
    }
    if (await createRing(file, [newRingKey(new Date(nowMs()))]))
      log.info({ file }, 'made the master keys; back them up');
    keys = (await readRing(file)) ?? [];
  }
  const unknown = keys.filter((key) => !known.some((row) => row.key_id === key.kid));
  for (const key of unknown.sort((a, b) => Number(a.state === 'active') - Number(b.state === 'active'))) {
    await db.tx((tx) => registerCryptoKey(tx, key.kid, checkValueOf(key), key.state));
  }
  if (unknown.length > 0) known = await listCryptoKeys(db);
  return judge(keys, known);
}

/** Which keys can be believed, and what is wrong with the others. */
function judge(keys: readonly RingKey[], known: readonly CryptoKeyRow[]): Ring {
  const usable = new Map<string, MasterKey>();
  const problems: string[] = [];
  for (const row of known) {
    if (row.state === 'retired') continue;
    const key = keys.find(({ kid }) => kid === row.key_id);
    if (key === undefined) problems.push(`master key ${row.key_id} is not in the file`);
    else if (!passesCheck(key, row.check_value))
      problems.push(`master key ${row.key_id} in the file is not the right one`);
    else usable.set(key.kid, key);
  }
  const activeKid = known.find((row) => row.state === 'active' && usable.has(row.key_id))?.key_id;
  return { usable, activeKid, problems };
}
