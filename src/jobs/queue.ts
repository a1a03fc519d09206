// The only user of pg-boss: queues of one node, with LISTEN/NOTIFY so that a job starts in milliseconds, and polling
// behind it so that a lost notification costs seconds. Jobs are hints to look again; every one may run twice.
import { PgBoss } from 'pg-boss';
import { messageOf } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import type { Service } from '../base/service.ts';
import type { DbOptions } from '../db/pool.ts';

export interface QueueSpec<Data extends object> {
  readonly name: string;
  readonly policy: 'standard' | 'stately';
  readonly retryLimit: number;
  /** Jobs taken at once; they run side by side. */
  readonly batchSize: number;
  readonly handle: (data: Data, signal: AbortSignal) => Promise<unknown>;
}

export interface QueueOptions {
  readonly connection: DbOptions['connection'];
  readonly nodeId: string;
  readonly log: Logger;
}

export interface JobQueue extends Service {
  /** Declares a queue of this node. Before start. */
  define<Data extends object>(spec: QueueSpec<Data>): void;
  /** Enqueues a job; with a key, one of the key at a time waits. Never throws: a job is a hint, the sweep is the truth. */
  send(
    name: string,
    data: object,
    options?: { readonly key?: string; readonly startAfter?: Date },
  ): Promise<void>;
}

export function createJobQueue(options: QueueOptions): JobQueue {
  const { log } = options;
  const specs: QueueSpec<object>[] = [];
  const closing = new AbortController();
  const boss = new PgBoss({
    ...connectionOf(options.connection),
    application_name: 'minimcp-jobs',
    max: 4,
    useListenNotify: true,
    // No job of ours waits for another, so there is nothing to look for.
    flowIntervalSeconds: 86_400,
    schedule: false,
  });
  boss.on('error', (error) => log.warn({ reason: messageOf(error) }, 'the job queue met an error'));
  boss.on('warning', (warning) => log.debug({ warning }, 'the job queue warns'));
  // Queue names are per node: a node does only its own work, and finds its own jobs again after a restart.
  const nameOf = (name: string): string => `${name}.${options.nodeId.replace(/[^\w.-]/g, '_')}`;
  let running = false;

  return {
    name: 'jobs',
    define(spec) {
      specs.push(spec as unknown as QueueSpec<object>);
    },
    async start() {
      await boss.start();
      running = true;
      await Promise.all(specs.map((spec) => open(boss, nameOf(spec.name), spec, closing.signal)));
    },
    async stop() {
      closing.abort(new Error('the supervisor is stopping'));
      if (running) await boss.stop({ graceful: true, timeout: 8_000 });
      running = false;
    },
    async send(name, data, { key, startAfter } = {}) {
      if (!running || closing.signal.aborted) return;
      const jobOptions = {
        ...(key === undefined ? {} : { singletonKey: key }),
        ...(startAfter === undefined ? {} : { startAfter }),
      };
      try {
        await boss.send(nameOf(name), data, jobOptions);
      } catch (error) {
        log.warn(
          { queue: name, reason: messageOf(error) },
          'a job could not be sent; the sweep does without it',
        );
      }
    },
  };
}

async function open(boss: PgBoss, name: string, spec: QueueSpec<object>, signal: AbortSignal): Promise<void> {
  await boss.createQueue(name, {
    policy: spec.policy,
    notify: true,
    retryLimit: spec.retryLimit,
    retryDelay: 1,
    retryBackoff: true,
    retryDelayMax: 30,
    expireInSeconds: 300,
    heartbeatSeconds: 10,
    deleteAfterSeconds: 3_600,
  });
  // A tick that a killed supervisor had in hand counts as running until its heartbeat is missed, and keeps the next ones
  // waiting. This queue is this node's alone, and this process holds the node: whatever is there is nobody's.
  if (spec.policy === 'stately') await boss.deleteAllJobs(name);
  const settings = {
    batchSize: spec.batchSize,
    pollingIntervalSeconds: 2,
    // Ticks are notified of as they are sent, and come again; a job for later is only found by looking.
    notifyPollingIntervalSeconds: spec.policy === 'stately' ? 15 : 5,
    burstWhenBatchFull: spec.batchSize > 1,
  };
  await boss.work<object>(name, settings, async (jobs) => {
    await Promise.all(jobs.map((job) => spec.handle(job.data, signal)));
  });
}

function connectionOf(connection: DbOptions['connection']) {
  const { connectionString, host, port, user, database } = connection;
  const password = typeof connection.password === 'string' ? connection.password : undefined;
  return {
    ...(connectionString === undefined ? {} : { connectionString }),
    ...(host === undefined ? {} : { host }),
    ...(port === undefined ? {} : { port }),
    ...(user === undefined ? {} : { user }),
    ...(database === undefined ? {} : { database }),
    ...(password === undefined ? {} : { password }),
  };
}
