// The death matrix: whoever dies, stops or is gone, in whatever state an instance is, one table says what must be true
// after, and drives the tests. Every cell is provoked for real: real signals to real processes, a PostgreSQL of its own.
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { InstanceWithToken } from '../../src/api/contract.ts';
import type { Instance } from '../../src/domain/instance.ts';
import { type Daemon, startDaemon } from '../support/daemon.ts';
import {
  ask,
  gate,
  gatedServer,
  type Processes,
  processesOf,
  refusesConnections,
  request,
  rowOf,
  servesWithin,
  signalAll,
  untilChild,
  untilRow,
} from '../support/gated.ts';
import { type OwnDatabase, ownDatabase } from '../support/own-database.ts';
import { untilPromisesHold } from '../support/promises.ts';
import { addProgramType } from '../support/types.ts';

const whos = ['supervisor', 'shim', 'child', 'shim+child', 'database'] as const;
/**
 * killed: SIGKILL while the others live and see it. stopped: SIGSTOP, for as long as the test looks, then SIGCONT.
 * gone: it left without a word, or while nobody was there to see it: the supervisor and the database by a clean stop, the
 * shim while no supervisor lives, the child by leaving with code 0, shim and child with everything they ever wrote.
 */
const hows = ['killed', 'stopped', 'gone'] as const;
/** restarting: the child has crashed, another one is being opened. */
const states = ['pending', 'running', 'stopping', 'restarting'] as const;
type Who = (typeof whos)[number];
type How = (typeof hows)[number];
type State = (typeof states)[number];

/**
 * What must be true after:
 * kept         same generation, port, token and shim; it goes on to run and serves. Nothing of it was touched.
 * reopened     same generation, port, token and shim; another child; it goes on to run and serves.
 * replaced     the next generation on the same port with the same token, one shim; it goes on to run and serves.
 * disconnected no process, no port held, nobody listens: it was being stopped and is.
 * start_failed, start_timeout: error with that reason, no process, no port held, nobody listens.
 * While something is stopped, status and processes stay as they are, unless the cell says that it ends.
 */
type After = 'kept' | 'reopened' | 'replaced' | 'disconnected' | 'start_failed' | 'start_timeout';

const matrix: Readonly<Record<Who, Readonly<Record<How, Readonly<Record<State, After>>>>>> = {
  supervisor: {
    killed: { pending: 'kept', running: 'kept', stopping: 'disconnected', restarting: 'kept' },
    stopped: { pending: 'kept', running: 'kept', stopping: 'disconnected', restarting: 'kept' },
    gone: { pending: 'kept', running: 'kept', stopping: 'disconnected', restarting: 'kept' },
  },
  shim: {
    killed: {
      pending: 'replaced',
      running: 'replaced',
      stopping: 'disconnected',
      restarting: 'replaced',
    },
    stopped: { pending: 'kept', running: 'kept', stopping: 'disconnected', restarting: 'kept' },
    gone: { pending: 'replaced', running: 'replaced', stopping: 'disconnected', restarting: 'replaced' },
  },
  child: {
    // Dead before it was ever ready: misconfigured, and would die again.
    killed: {
      pending: 'start_failed',
      running: 'reopened',
      stopping: 'disconnected',
      restarting: 'reopened',
    },
    // A running child that does not answer is no reason to kill it; one that does not start in time is.
    stopped: {
      pending: 'start_timeout',
      running: 'kept',
      stopping: 'disconnected',
      restarting: 'reopened',
    },
    gone: { pending: 'start_failed', running: 'reopened', stopping: 'disconnected', restarting: 'reopened' },
  },
  'shim+child': {
    killed: { pending: 'replaced', running: 'replaced', stopping: 'disconnected', restarting: 'replaced' },
    stopped: { pending: 'kept', running: 'kept', stopping: 'disconnected', restarting: 'kept' },
    gone: { pending: 'replaced', running: 'replaced', stopping: 'disconnected', restarting: 'replaced' },
  },
  database: {
    killed: { pending: 'kept', running: 'kept', stopping: 'disconnected', restarting: 'kept' },
    stopped: { pending: 'kept', running: 'kept', stopping: 'disconnected', restarting: 'kept' },
    gone: { pending: 'kept', running: 'kept', stopping: 'disconnected', restarting: 'kept' },
  },
};
// No cell is impossible: while it restarts, a child is being opened; while it stops, one that does not want to leave is
// given its grace.

/** How long something stays stopped or away. */
const awayMs = 2_500;
/** The start time-out of types whose child is stopped while it starts, seconds. */
const startSeconds = 3;

/** Any other type waits for its child as long as it takes. */
const patient = { era: 'legacy', start_timeout_seconds: 120 };

interface Patient {
  readonly instance: InstanceWithToken;
  readonly state: State;
  readonly before: Instance;
  readonly processes: Processes;
}

/** An instance brought into a state, and held there. */
async function admit(daemon: Daemon, type: string, state: State): Promise<Patient> {
  const instance = await request(daemon, { mcp_type: type, duration_minutes: 30 });
  const { id } = instance;
  await untilChild(daemon, id);
  // Any change of it gives the place it holds among the starts to the next, although it is not ready.
  if (state === 'pending') await ask(daemon, 'POST', `/instances/${id}/extend`, { duration_minutes: 31 });
  if (state !== 'pending') {
    gate(daemon, id, 'go');
    await untilRow(daemon, id, ({ status }) => status === 'running');
  }
  if (state === 'restarting') {
    gate(daemon, id, 'go', false);
    const { children } = processesOf(await rowOf(daemon, id));
    signalAll(children, 'SIGKILL');
    await untilRow(daemon, id, ({ status, health }) => status === 'pending' && health === 'restarting');
    await untilChild(daemon, id);
  }
  if (state === 'stopping') {
    gate(daemon, id, 'stay');
    await ask(daemon, 'POST', `/instances/${id}/stop`);
    await untilRow(daemon, id, ({ status }) => status === 'stopping');
  }
  const before = await rowOf(daemon, id);
  return { instance, state, before, processes: processesOf(before) };
}

async function isAsPromised(daemon: Daemon, patient: Patient, after: After): Promise<void> {
  const { instance, before, processes } = patient;
  const { id } = instance;
  if (after === 'kept' || after === 'reopened' || after === 'replaced') {
    const generation = before.generation + (after === 'replaced' ? 1 : 0);
    if (after === 'replaced') {
      await untilRow(daemon, id, (row) => row.generation === generation);
      await untilChild(daemon, id);
    }
    gate(daemon, id, 'go');
    if (after === 'reopened') await untilRow(daemon, id, ({ restarts }) => restarts > before.restarts);
    const now = await untilRow(daemon, id, ({ status }) => status === 'running', 40_000);
    expect(now).toMatchObject({ generation, assigned_port: before.assigned_port });
    const { shim, children } = processesOf(now);
    if (after === 'replaced') expect(shim).not.toBe(processes.shim);
    else expect(shim).toBe(processes.shim);
    if (after === 'kept') expect(children).toEqual(processes.children);
    else expect(children.filter((pid) => processes.children.includes(pid))).toEqual([]);
    expect(await servesWithin(instance, 10_000)).toBe(true);
  } else {
    const status = after === 'disconnected' ? 'disconnected' : 'error';
    const now = await untilRow(daemon, id, (row) => row.status === status, 40_000);
    expect(now).toMatchObject({
      assigned_port: null,
      process_id: null,
      handle: null,
      stop_reason: after === 'disconnected' ? 'user' : after,
    });
    expect(await refusesConnections(instance.access_url)).toBe(true);
  }
}

/** Removes what a test has made, and sees that nothing of it is left. */
async function discharge(daemon: Daemon, patients: readonly Patient[]): Promise<void> {
  await Promise.all(patients.map(({ instance }) => ask(daemon, 'DELETE', `/instances/${instance.id}`)));
  await untilPromisesHold(daemon);
}

describe('one instance hit', () => {
  let daemon: Daemon;
  const hit = ['shim', 'child', 'shim+child'] as const;
  const cells = hit.flatMap((who) => hows.flatMap((how) => states.map((state) => ({ who, how, state }))));
  /** What came of each cell: they are all hit at once. */
  const outcomes = new Map<string, Promise<void>>();
  const keyOf = ({ who, how, state }: (typeof cells)[number]): string => `${who} ${how} ${state}`;

  beforeAll(async () => {
    daemon = await startDaemon({ ports: 40 });
    await daemon.call('PUT', '/settings/mcp.max_instances_per_user', { value: 1_000 });
    await addProgramType(daemon, 'gated', gatedServer, patient);
    await addProgramType(daemon, 'hasty', gatedServer, { ...patient, start_timeout_seconds: startSeconds });
    // Those whose supervisor must be away are hit in one absence; the others need it to live.
    const away = cells.filter(({ who, how }) => how === 'gone' && who !== 'child');
    for (const turn of [away, cells.filter((cell) => !away.includes(cell))]) {
      const patients = new Map<string, Patient>();
      const bring = async (cell: (typeof cells)[number]): Promise<void> => {
        const { who, how, state } = cell;
        const type = how === 'stopped' && who === 'child' && state !== 'running' ? 'hasty' : 'gated';
        const brought = await admit(daemon, type, state);
        patients.set(keyOf(cell), brought);
        // One that is waited for only so long is hit at once.
        if (type === 'hasty') await strike(daemon, who, how, brought);
      };
      // Those that stop come last: they do not stay in it for long.
      const stopping = turn.filter(({ state }) => state === 'stopping');
      await Promise.all(turn.filter((cell) => !stopping.includes(cell)).map(bring));
      await Promise.all(stopping.map(bring));
      if (turn === away) await daemon.kill9();
      for (const cell of turn) {
        const brought = patients.get(keyOf(cell));
        if (brought !== undefined) await strike(daemon, cell.who, cell.how, brought);
      }
      if (turn === away) await daemon.start();
      for (const cell of turn) {
        const outcome = follow(
          daemon,
          cell.how,
          patients.get(keyOf(cell)),
          matrix[cell.who][cell.how][cell.state],
        );
        // Looked at by the test of the cell, which comes later.
        outcome.catch(() => {});
        outcomes.set(keyOf(cell), outcome);
      }
    }
  }, 90_000);
  afterAll(() => daemon?.dispose());

  it.each(cells.map((cell) => [keyOf(cell), matrix[cell.who][cell.how][cell.state]]))(
    '%s: %s',
    (key) => outcomes.get(key),
    60_000,
  );

  it('leaves nothing behind in the end', () => untilPromisesHold(daemon));
});

async function follow(daemon: Daemon, how: How, brought: Patient | undefined, after: After): Promise<void> {
  if (brought === undefined) throw new Error('it was not brought into its state');
  const { instance, before, processes } = brought;
  if (how === 'stopped' && after === 'kept') {
    await sleep(awayMs);
    const now = await rowOf(daemon, instance.id);
    expect(now).toMatchObject({ status: before.status, generation: before.generation });
    expect(processesOf(now)).toEqual(processes);
    signalAll([processes.shim, ...processes.children], 'SIGCONT');
  }
  await isAsPromised(daemon, brought, after);
  await ask(daemon, 'DELETE', `/instances/${instance.id}`);
}

async function strike(daemon: Daemon, who: Who, how: How, { instance, processes }: Patient): Promise<void> {
  const { shim, children } = processes;
  const pids = who === 'shim' ? [shim] : who === 'child' ? children : [shim, ...children];
  if (how === 'stopped') return signalAll(pids, 'SIGSTOP');
  if (how === 'gone' && who === 'child') return gate(daemon, instance.id, 'leave');
  signalAll(pids, 'SIGKILL');
  if (how === 'gone' && who === 'shim+child')
    await rm(join(daemon.dataDir, 'instances', instance.id, '1'), { recursive: true, force: true });
}

describe('all instances hit', () => {
  let database: OwnDatabase;
  let daemon: Daemon;
  beforeAll(async () => {
    database = await ownDatabase();
    daemon = await startDaemon({ database });
    await addProgramType(daemon, 'gated', gatedServer, patient);
  }, 60_000);
  afterAll(async () => {
    await daemon?.dispose();
    await database?.dispose();
  });

  const faults: Readonly<Record<'supervisor' | 'database', Readonly<Record<How, () => Promise<void>>>>> = {
    supervisor: {
      killed: async () => {
        await daemon.kill9();
        await daemon.start();
      },
      stopped: async () => {
        signalAll([daemon.pid()], 'SIGSTOP');
        await sleep(awayMs);
        signalAll([daemon.pid()], 'SIGCONT');
      },
      gone: async () => {
        expect(await daemon.terminate()).toBe(0);
        await sleep(awayMs);
        await daemon.start();
      },
    },
    database: {
      killed: async () => {
        await database.kill9();
        await database.start();
      },
      stopped: async () => {
        await database.signal('SIGSTOP');
        await sleep(awayMs);
        await database.signal('SIGCONT');
      },
      gone: async () => {
        await database.stop();
        await sleep(awayMs);
        await database.start();
      },
    },
  };
  const cells = (['supervisor', 'database'] as const).flatMap((who) =>
    hows.map((how) => [who, how, matrix[who][how]] as const),
  );

  it.each(cells)('%s %s: %j', { timeout: 60_000 }, async (who, how, afters) => {
    const others = await Promise.all(
      (['pending', 'running', 'restarting'] as const).map((state) => admit(daemon, 'gated', state)),
    );
    const patients = [...others, await admit(daemon, 'gated', 'stopping')];
    await faults[who][how]();
    await Promise.all(patients.map((patient) => isAsPromised(daemon, patient, afters[patient.state])));
    await discharge(daemon, patients);
  });
});
