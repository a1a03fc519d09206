// Crash consistency, enumerated. Each operation on an instance is a row of statements; for each of them the supervisor
// is killed −9 just before it reaches the server and just after it was answered, and started again. Then every process
// belongs to one row at work, every port is free or held by exactly one, and the operation has happened or can be
// repeated. The same for each file and process that a start and an end leave on this machine.
//
// Several operations, each of another instance and another user, are held at one statement each before the one kill.
// Left out are BEGIN, the fence, plain reads, and transactions that write nothing: the database is then what it was at
// the moment before, and what is done between two writes (a process started, a process ended) is between their moments.
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { InstanceWithToken } from '../../src/api/contract.ts';
import { type Daemon, startDaemon } from '../support/daemon.ts';
import { ask, request, rowOf, servesWithin, untilRow } from '../support/gated.ts';
import {
  type Followed,
  type HeldStatements,
  holdStatements,
  type Point,
} from '../support/held-statements.ts';
import { ourProcesses, untilPromisesHold } from '../support/promises.ts';
import { addProgramType, answersThen } from '../support/types.ts';

const operations = ['create', 'stop', 'extend', 'expire', 'restart', 'delete'] as const;
type Operation = (typeof operations)[number];

interface User {
  readonly id: string;
  readonly token: string;
}

interface Trial {
  readonly operation: Operation;
  readonly user: User;
  /** What it is done to; for create what came of it, if anything. */
  instance: InstanceWithToken | undefined;
}

const minutes = 30;
const body = { mcp_type: 'tiny', duration_minutes: minutes };
const isRunning = ({ status }: { status: string }): boolean => status === 'running';

/** A daemon behind a proxy, with users to ask for instances. */
async function open(): Promise<{ daemon: Daemon; held: HeldStatements; users: readonly User[] }> {
  const daemon = await startDaemon({ proxied: true, ports: 20 });
  if (daemon.proxy === undefined) throw new Error('it was asked for a proxy');
  await addProgramType(daemon, 'tiny', answersThen(''), { era: 'legacy', start_timeout_seconds: 60 });
  const names = Array.from({ length: batchMax }, (_, at) => `user-${at}`);
  const users = await Promise.all(names.map((name) => daemon.user(name)));
  return { daemon, held: holdStatements(daemon.proxy), users };
}

async function prepare(daemon: Daemon, operation: Operation, user: User): Promise<Trial> {
  if (operation === 'create') return { operation, user, instance: undefined };
  const instance = await request(daemon, body, user.token);
  await untilRow(daemon, instance.id, isRunning);
  return { operation, user, instance };
}

/** Asks for the operation; what is answered is of no matter, the supervisor may be dead by then. */
async function perform(daemon: Daemon, trial: Trial): Promise<void> {
  const { operation, user, instance } = trial;
  const options = { token: user.token };
  const path = `/instances/${instance?.id}`;
  if (operation === 'create') trial.instance = await request(daemon, body, user.token);
  else if (operation === 'delete') await ask(daemon, 'DELETE', path, undefined, options);
  else if (operation === 'extend')
    await ask(daemon, 'POST', `${path}/extend`, { duration_minutes: minutes * 2 }, options);
  else if (operation === 'expire')
    await daemon.database.db.query(
      'UPDATE mcp_instances SET expires_at = clock_timestamp(), lease_started_at = created_at WHERE id = $1',
      [instance?.id],
    );
  else await ask(daemon, 'POST', `${path}/${operation}`, undefined, options);
}

/** Whether the row is where the operation leads. */
function hasHappened({ operation }: Trial, row: Awaited<ReturnType<typeof rowOf>>): boolean {
  const leftMs = row.expires_at.getTime() - Date.now();
  return {
    create: isRunning(row),
    stop: row.status === 'disconnected' && row.deleted_at === null,
    extend: isRunning(row) && leftMs > minutes * 60_000,
    expire: row.status === 'expired',
    restart: isRunning(row) && row.generation > 1,
    delete: row.deleted_at !== null && row.status === 'disconnected',
  }[operation];
}

/** After the crash: it has happened, or it is repeated and happens. */
async function isDoneOrRepeatable(daemon: Daemon, trial: Trial): Promise<void> {
  const found = await daemon.database.db.query<{ id: string }>(
    'SELECT id FROM mcp_instances WHERE user_id = $1 AND deleted_at IS NULL AND created_at > $2',
    [trial.user.id, new Date(0)],
  );
  if (trial.operation === 'create') {
    expect(found.length).toBeLessThanOrEqual(1);
    if (found[0] === undefined) await perform(daemon, trial);
    const id = found[0]?.id ?? trial.instance?.id ?? '';
    await untilRow(daemon, id, isRunning);
    return;
  }
  const id = trial.instance?.id ?? '';
  const settled = await untilRow(daemon, id, ({ status }) => status !== 'pending' && status !== 'stopping');
  if (!hasHappened(trial, settled)) {
    expect(settled).toMatchObject({ status: 'running', generation: 1 });
    await perform(daemon, trial);
    await untilRow(daemon, id, (row) => hasHappened(trial, row));
  }
  const row = await rowOf(daemon, id);
  if (isRunning(row) && trial.instance !== undefined)
    expect(await servesWithin(trial.instance, 10_000)).toBe(true);
}

async function clear(daemon: Daemon, users: readonly User[]): Promise<void> {
  const rows = await daemon.database.db.query<{ id: string; handle: unknown; status: string }>(
    'SELECT id, handle, status FROM mcp_instances WHERE deleted_at IS NULL AND user_id = ANY($1)',
    [users.map(({ id }) => id)],
  );
  // Whatever was adopted can be found again: without it nobody could tell its shim anything.
  for (const { handle, status } of rows) if (isRunning({ status })) expect(handle).not.toBeNull();
  await Promise.all(rows.map(({ id }) => ask(daemon, 'DELETE', `/instances/${id}`)));
  await untilPromisesHold(daemon);
}

interface Case {
  readonly operation: Operation;
  readonly point: Point;
  /** A start is under way, and only as many at once as the machine has cores. */
  readonly starting: boolean;
}

/** Connections of the supervisor are held with the statements: some must stay for others. */
const batchMax = 10;
const startingMax = 6;

/** Goes through each operation once, undisturbed, and makes a case of each of its moments. */
async function rehearse(daemon: Daemon, held: HeldStatements, users: readonly User[]): Promise<Case[]> {
  const rehearsals = await Promise.all(
    operations.map(async (operation, at) => {
      const user = users[at];
      if (user === undefined) throw new Error('there are more operations than users');
      const trial = await prepare(daemon, operation, user);
      const followed = held.follow(trial.instance?.id ?? user.id);
      await perform(daemon, trial);
      await untilRow(daemon, trial.instance?.id ?? '', (row) => hasHappened(trial, row));
      return { operation, followed };
    }),
  );
  // The last effects come after the last status.
  await untilPromisesHold(daemon);
  await sleep(300);
  return rehearsals.flatMap(({ operation, followed }) => casesOf(operation, followed));
}

function casesOf(operation: Operation, { steps }: Followed): Case[] {
  const wroteHandle = steps.findIndex(({ sql }) => /^UPDATE mcp_instances SET handle/.test(sql));
  return steps.flatMap((step, at) => {
    if (step.isIdle) return [];
    const starting = wroteHandle >= 0 && at >= wroteHandle;
    return (['before', 'after'] as const).map((when) => ({ operation, point: { step, when }, starting }));
  });
}

/** Cases that can be held at the same time, the rare places first. */
function batches(cases: readonly Case[]): Case[][] {
  const starting = cases.filter((one) => one.starting);
  const others = cases.filter((one) => !one.starting);
  const made: Case[][] = [];
  while (starting.length > 0 || others.length > 0) {
    const batch = starting.splice(0, startingMax);
    made.push([...batch, ...others.splice(0, batchMax - batch.length)]);
  }
  return made;
}

/** Brings each case of a batch to its moment, kills, starts again and looks. */
async function crash(where: Awaited<ReturnType<typeof open>>, batch: readonly Case[]): Promise<void> {
  const { daemon, held, users } = where;
  held.clear();
  const trials = await Promise.all(batch.map((one, at) => prepare(daemon, one.operation, users[at] as User)));
  const followed = trials.map((trial) => held.follow(trial.instance?.id ?? trial.user.id));
  const moments = followed.map((one, at) => one.holdAt((batch[at] as Case).point));
  const asked = trials.map((trial) => perform(daemon, trial).catch(() => {}));
  const words = batch.map(
    ({ operation, point }) => `${operation}: ${point.when} ${point.step.sql} (${point.step.turn})`,
  );
  const missing = (): string =>
    followed
      .flatMap(({ isHeld, steps }, at) =>
        isHeld
          ? []
          : [`${words[at]}; there were ${steps.map(({ sql, turn }) => `${sql} (${turn})`).join(', ')}`],
      )
      .join('\n');
  await within(90_000, Promise.all(moments), () => `not all came to their moment:\n${missing()}`);
  await daemon.kill9();
  held.clear();
  await Promise.all(asked);
  await daemon.start();
  await Promise.all(
    trials.map((trial, at) =>
      isDoneOrRepeatable(daemon, trial).catch((error: Error) => {
        throw new Error(`killed in ${words[at]}: ${error.message}`, { cause: error });
      }),
    ),
  );
  await untilPromisesHold(daemon);
  await clear(daemon, users);
}

async function within<T>(ms: number, promise: Promise<T>, word: () => string): Promise<T> {
  const late = new AbortController();
  const timeout = sleep(ms, undefined, { signal: late.signal }).then(
    () => Promise.reject(new Error(word())),
    () => new Promise<never>(() => {}),
  );
  try {
    return await Promise.race([promise, timeout]);
  } finally {
    late.abort();
  }
}

describe('a supervisor killed −9', () => {
  let places: Awaited<ReturnType<typeof open>>[];
  beforeAll(async () => {
    places = await Promise.all([open(), open()]);
  }, 60_000);
  afterAll(async () => {
    // What a failed test has left held would keep its supervisor from ending.
    await Promise.all((places ?? []).map(({ daemon }) => daemon.kill9()));
    await Promise.all((places ?? []).map(({ daemon }) => daemon.dispose()));
  }, 60_000);

  it('before and after every statement of every operation leaves nothing half done', async () => {
    const [first] = places;
    if (first === undefined) throw new Error('nothing was opened');
    const cases = await rehearse(first.daemon, first.held, first.users);
    await clear(first.daemon, first.users);
    for (const operation of operations)
      expect(cases.filter((one) => one.operation === operation).length).toBeGreaterThan(7);
    const todo = batches(cases);
    process.stdout.write(`${cases.length} moments, ${todo.length} kills\n`);
    const work = async (place: (typeof places)[number]): Promise<void> => {
      for (let batch = todo.shift(); batch !== undefined; batch = todo.shift()) await crash(place, batch);
    };
    await Promise.all(places.map(work));
  }, 300_000);

  const moments: Readonly<Record<string, (daemon: Daemon, id: string) => boolean>> = {
    'the bundle of a start appears': (daemon, id) => existsSync(bundle(daemon, id)),
    'the process of a shim appears': (daemon, id) =>
      ourProcesses(daemon.dataDir).some(({ instanceId }) => instanceId === id),
    'shim.json appears': (daemon, id) => existsSync(join(bundle(daemon, id), 'shim.json')),
    'control.sock appears': (daemon, id) => existsSync(join(bundle(daemon, id), 'control.sock')),
    'the server appears': (daemon, id) =>
      ourProcesses(daemon.dataDir).filter(({ instanceId }) => instanceId === id).length > 2,
  };

  it('when a file or a process of a start appears, starts it once', async () => {
    const todo = Object.entries(moments);
    const work = async ({ daemon, users }: (typeof places)[number]): Promise<void> => {
      for (let next = todo.shift(); next !== undefined; next = todo.shift()) {
        const [word, test] = next;
        const { id } = await request(daemon, body, users[0]?.token);
        while (!test(daemon, id)) await new Promise((resolve) => setImmediate(resolve));
        await daemon.kill9();
        await daemon.start();
        const row = await untilRow(daemon, id, isRunning);
        // A shim that had been told everything is adopted; one that had not has ended, and the next one serves.
        expect(row.generation, word).toBeLessThanOrEqual(2);
        await untilPromisesHold(daemon);
        await clear(daemon, users);
      }
    };
    await Promise.all(places.map(work));
  }, 120_000);

  it('when exit.json appears, records the end', async () => {
    const { daemon, users } = places[0] as (typeof places)[number];
    const { id } = await request(daemon, body, users[0]?.token);
    await untilRow(daemon, id, isRunning);
    const exit = join(bundle(daemon, id), 'exit.json');
    void ask(daemon, 'POST', `/instances/${id}/stop`).catch(() => {});
    while (!existsSync(exit)) await new Promise((resolve) => setImmediate(resolve));
    await daemon.kill9();
    await daemon.start();
    expect(await untilRow(daemon, id, ({ status }) => status === 'disconnected')).toMatchObject({
      stop_reason: 'user',
      exit_code: 0,
    });
    await clear(daemon, users);
    await expect.poll(() => readdirSync(join(daemon.dataDir, 'instances')), { timeout: 10_000 }).toEqual([]);
  }, 60_000);
});

function bundle(daemon: Daemon, id: string): string {
  return join(daemon.dataDir, 'instances', id, '1');
}
