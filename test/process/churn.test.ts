// P7: after a hundred instances were made, used, stopped and removed, everything is back where it was: processes,
// descriptors of the supervisor, files and directories, ports, connections to the database.
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type Daemon, startDaemon } from '../support/daemon.ts';
import { ask, request, serves, untilRow } from '../support/gated.ts';
import { ourProcesses, untilPromisesHold } from '../support/promises.ts';
import { addProgramType, answersThen } from '../support/types.ts';

const cycles = 100;
const atOnce = 4;

let daemon: Daemon;
beforeAll(async () => {
  daemon = await startDaemon();
  await addProgramType(daemon, 'tiny', answersThen(''), { era: 'legacy', start_timeout_seconds: 60 });
}, 60_000);
afterAll(() => daemon?.dispose());

interface Held {
  readonly processes: number;
  readonly descriptors: number;
  readonly files: readonly string[];
  readonly freePorts: number;
  readonly connections: number;
}

function namesBelow(path: string): string[] {
  return statSync(path).isDirectory() ? readdirSync(path, { recursive: true, encoding: 'utf8' }) : [];
}

async function held(): Promise<Held> {
  const { db, connection } = daemon.database;
  const [counts] = await db.query<{ ports: number; connections: number }>(
    `SELECT (SELECT count(*) FROM port_allocations WHERE is_available AND quarantined_until IS NULL) AS ports,
       (SELECT count(*) FROM pg_stat_activity WHERE datname = $1) AS connections`,
    [connection.database],
  );
  const descriptors = readdirSync(`/proc/${daemon.pid()}/fd`).length;
  return {
    processes: ourProcesses(daemon.dataDir).length,
    descriptors,
    // The supervisor's own spool is rewritten all the time, and the store holds what is placed once for all.
    files: readdirSync(daemon.dataDir)
      .filter((name) => name !== 'node-spool' && name !== 'store')
      .flatMap((name) => [name, ...namesBelow(join(daemon.dataDir, name))])
      .sort(),
    freePorts: counts?.ports ?? -1,
    connections: counts?.connections ?? -1,
  };
}

async function cycle(): Promise<void> {
  const instance = await request(daemon, { mcp_type: 'tiny', duration_minutes: 30 });
  const { id } = instance;
  await untilRow(daemon, id, ({ status }) => status === 'running');
  expect(await serves(instance)).toBe(true);
  await ask(daemon, 'POST', `/instances/${id}/stop`);
  await untilRow(daemon, id, ({ status }) => status === 'disconnected');
  await ask(daemon, 'DELETE', `/instances/${id}`);
}

async function many(count: number): Promise<void> {
  let left = count;
  const work = async (): Promise<void> => {
    for (; left > 0; ) {
      left -= 1;
      await cycle();
    }
  };
  await Promise.all(Array.from({ length: atOnce }, work));
  await untilPromisesHold(daemon);
  // The last log lines are stored, and their directories go, a moment after the instances.
  await expect
    .poll(() => readdirSync(join(daemon.dataDir, 'instances')), { timeout: 30_000, interval: 200 })
    .toEqual([]);
}

it('a hundred instances leave nothing behind', async () => {
  // The first ones make what stays: connections of the pool, compiled code, directories.
  await many(8);
  const before = await held();
  await many(cycles);
  const after = await held();
  const { processes, files, freePorts } = before;
  expect(after).toMatchObject({ processes, files, freePorts });
  // Connections of the pools and of the API's clients come and go; what leaks comes a hundred times.
  const isLess = async (): Promise<boolean> => {
    const { connections, descriptors } = await held();
    return connections < before.connections + 20 && descriptors < before.descriptors + 20;
  };
  await expect.poll(isLess, { timeout: 60_000, interval: 1_000 }).toBe(true);
}, 180_000);
