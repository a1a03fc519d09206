import { chmod, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type Keyring, openKeyring } from '../../src/secrets/keyring.ts';
import { createVault, type Vault } from '../../src/secrets/vault.ts';
import { silentLog } from '../support/cluster.ts';
import { type TestDatabase, testDatabase } from '../support/database.ts';
import { addType, addUser } from '../support/rows.ts';

let database: TestDatabase;
let dir: string;
let file: string;
let keyring: Keyring;
let vault: Vault;
const key = 'ghp_0123456789abcdefGHIJ';

beforeEach(async () => {
  [database, dir] = await Promise.all([testDatabase(), mkdtemp(join(tmpdir(), 'minimcp-ring-'))]);
  file = join(dir, 'master-keys.json');
  await reopen();
});

afterEach(async () => {
  await Promise.all([database.dispose(), rm(dir, { recursive: true, force: true })]);
});

async function reopen(): Promise<void> {
  keyring = await openKeyring({ db: database.db, file, log: silentLog });
  vault = createVault({ db: database.db, keyring });
}

async function owner(): Promise<{ userId: string; typeId: string }> {
  const [userId, typeId] = await Promise.all([addUser(database.db), addType(database.db)]);
  return { userId, typeId };
}

function ringText(change: (ring: { keys: Record<string, string>[] }) => void): Promise<void> {
  return readFile(file, 'utf8').then((text) => {
    const ring = JSON.parse(text);
    change(ring);
    return writeFile(file, JSON.stringify(ring));
  });
}

describe('the ring of master keys', () => {
  it('is made at the first start, for its owner only, and stays the same', async () => {
    expect((await stat(file)).mode & 0o777).toBe(0o600);
    const before = await readFile(file, 'utf8');
    await reopen();
    expect(await readFile(file, 'utf8')).toBe(before);
    expect(await vault.status()).toMatchObject({
      ok: true,
      problem: null,
      keys: [{ state: 'active', usable: true }],
    });
  });

  it('is one ring, however many make it at once', async () => {
    await rm(file);
    const fresh = await testDatabase();
    const rings = await Promise.all(
      Array.from({ length: 5 }, () => openKeyring({ db: fresh.db, file, log: silentLog })),
    );
    const active = await Promise.all(rings.map((ring) => ring.active()));
    expect(new Set(active.map(({ kid }) => kid)).size).toBe(1);
    expect(rings.map((ring) => ring.problem())).toEqual([null, null, null, null, null]);
    await fresh.dispose();
  });

  it.each([
    ['readable by others', () => chmod(file, 0o640), /chmod 600/],
    ['not JSON', () => writeFile(file, '{'), /damaged/],
    ['empty', () => writeFile(file, ''), /damaged/],
    ['missing while the database knows keys', () => rm(file), /missing/],
    [
      'short of bytes',
      () => ringText((ring) => Object.assign(ring.keys[0] ?? {}, { key: 'AAAA' })),
      /damaged/,
    ],
    [
      'another ring under the same name',
      () =>
        ringText((ring) =>
          Object.assign(ring.keys[0] ?? {}, { key: Buffer.alloc(32, 7).toString('base64url') }),
        ),
      /not the right one/,
    ],
  ])('that is %s keeps every secret shut and says why', async (_what, spoil, said) => {
    const { userId, typeId } = await owner();
    await vault.put(userId, typeId, 'github', key, null);
    await spoil();
    await reopen();
    expect(keyring.problem()).toMatch(said);
    expect((await vault.status()).ok).toBe(false);
    await expect(vault.open(userId, typeId)).rejects.toMatchObject({ code: 'secrets_unavailable' });
    await expect(vault.put(userId, typeId, 'github', key, null)).rejects.toMatchObject({
      code: 'secrets_unavailable',
    });
    // What is not secret is still to be seen.
    expect(await vault.list(userId)).toHaveLength(1);
  });

  it('is believed again once it is mended, without a restart', async () => {
    const { userId, typeId } = await owner();
    await vault.put(userId, typeId, 'github', key, null);
    await chmod(file, 0o644);
    await reopen();
    await expect(vault.open(userId, typeId)).rejects.toMatchObject({ code: 'secrets_unavailable' });
    await chmod(file, 0o600);
    expect((await vault.open(userId, typeId))?.plaintext).toBe(key);
  });
});

describe('the vault', () => {
  it('gives back what was put, to its owner and type only', async () => {
    const { userId, typeId } = await owner();
    const other = await owner();
    const entry = await vault.put(userId, typeId, 'github', key, null);
    expect(entry).toMatchObject({ mcp_type: 'github', key_hint: 'GHIJ', expires_at: null });
    expect(await vault.open(userId, typeId)).toMatchObject({ plaintext: key });
    expect(await vault.open(other.userId, typeId)).toBeNull();
    expect(await vault.open(userId, other.typeId)).toBeNull();
  });

  it('holds no plaintext, and a hint only of long keys', async () => {
    const { userId, typeId } = await owner();
    await vault.put(userId, typeId, 'github', key, null);
    const rows = await database.db.query('SELECT to_jsonb(api_keys) AS row FROM api_keys');
    expect(JSON.stringify(rows)).not.toContain(key);
    expect(rows).toMatchObject([{ row: { encryption_iv: expect.stringMatching(/^[\w-]{16}$/) } }]);
    expect((await vault.put(userId, typeId, 'github', 'short-key', null)).key_hint).toBeNull();
    expect(await vault.list(userId)).toHaveLength(1);
  });

  it('has nothing to open once the key has expired or was removed', async () => {
    const { userId, typeId } = await owner();
    await vault.put(userId, typeId, 'github', key, new Date('2020-01-01'));
    expect(await vault.open(userId, typeId)).toBeNull();
    await vault.put(userId, typeId, 'github', key, new Date('2100-01-01'));
    expect(await vault.open(userId, typeId)).not.toBeNull();
    expect(await vault.remove(userId, typeId)).toBe(true);
    expect(await vault.remove(userId, typeId)).toBe(false);
    expect(await vault.open(userId, typeId)).toBeNull();
  });

  it('does not open a row that was moved to another user', async () => {
    const { userId, typeId } = await owner();
    const thief = await addUser(database.db);
    await vault.put(userId, typeId, 'github', key, null);
    await database.db.query('UPDATE api_keys SET user_id = $1', [thief]);
    await expect(vault.open(thief, typeId)).rejects.toMatchObject({
      code: 'secrets_unavailable',
      message: 'the secret cannot be opened',
    });
  });
});

describe('rotation', () => {
  it('moves every secret under the new key, can be cut off and go on, and lets the old key be retired', async () => {
    const first = (await keyring.active()).kid;
    const owners = [];
    for (let i = 0; i < 120; i += 1) {
      const one = await owner();
      owners.push(one);
      await vault.put(one.userId, one.typeId, 'github', `${key}-${i}`, null);
    }
    const second = await keyring.add();
    await expect(keyring.retire(first)).rejects.toMatchObject({ code: 'illegal_in_status' });
    await expect(keyring.retire(second)).rejects.toMatchObject({ code: 'illegal_in_status' });

    const cut = new AbortController();
    const db = { ...database.db, query: database.db.query.bind(database.db) };
    const stopping = createVault({
      keyring,
      db: {
        ...db,
        query: (sql, params) => {
          if (sql.startsWith('UPDATE')) cut.abort();
          return database.db.query(sql, params);
        },
      },
    });
    expect((await stopping.rotate(cut.signal)).moved).toBe(50);
    expect(await vault.rotate(new AbortController().signal)).toEqual({ moved: 70, failed: 0 });
    expect(await vault.rotate(new AbortController().signal)).toEqual({ moved: 0, failed: 0 });
    for (const [i, one] of owners.entries()) {
      expect((await vault.open(one.userId, one.typeId))?.plaintext).toBe(`${key}-${i}`);
    }
    await keyring.retire(first);
    expect(await readFile(file, 'utf8')).not.toContain(first);
    await reopen();
    expect((await vault.status()).keys).toEqual([
      { key_id: first, state: 'retired', usable: false, secrets: 0 },
      { key_id: second, state: 'active', usable: true, secrets: 120 },
    ]);
  });

  it('counts what it cannot open and goes on', async () => {
    const [a, b] = [await owner(), await owner()];
    await vault.put(a.userId, a.typeId, 'github', key, null);
    await vault.put(b.userId, b.typeId, 'github', key, null);
    await database.db.query(`UPDATE api_keys SET encrypted_key = 'v1.k1.x.y' WHERE user_id = $1`, [a.userId]);
    await keyring.add();
    expect(await vault.rotate(new AbortController().signal)).toEqual({ moved: 1, failed: 1 });
  });

  it('is learned of by a process that still holds the retired key', async () => {
    const { userId, typeId } = await owner();
    const other = await openKeyring({ db: database.db, file, log: silentLog });
    const first = (await other.active()).kid;
    const second = await keyring.add();
    await keyring.retire(first);
    await createVault({ db: database.db, keyring: other }).put(userId, typeId, 'github', key, null);
    expect(await database.db.query('SELECT key_id FROM api_keys')).toEqual([{ key_id: second }]);
  });
});
