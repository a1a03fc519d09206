// Figures for Prometheus, read when they are asked for: instances, ports, leases, jobs, logs, the database pool, this
// process, requests. With the database away the figures that need it are left out and minimcp_database_up is 0; a scrape
// never fails.
import type { FastifyInstance } from 'fastify';
import { collectDefaultMetrics, Gauge, Histogram, type Registry } from 'prom-client';
import type { Db } from '../db/pool.ts';
import { countByStatusAndType } from '../db/queries/instance-views.ts';
import { countEndingLeases, readMemory, readNodeLeases, readQueues } from '../db/queries/metric-views.ts';
import { countPorts } from '../db/queries/port-views.ts';
import type { LogFigures } from './context.ts';
import { registerLogFigures } from './log-metrics.ts';
import type { Streams } from './streams.ts';

export interface MetricsOptions {
  readonly registry: Registry;
  readonly db: Db;
  readonly streams: Streams;
  readonly logFigures: () => LogFigures;
}

/** Registers everything this room knows. Once per registry. */
export function registerMetrics(app: FastifyInstance, options: MetricsOptions): void {
  const { registry, db, streams } = options;
  // The default would wake an idle process a hundred times a second.
  collectDefaultMetrics({ register: registry, eventLoopMonitoringPrecision: 100 });
  // Sums of the figures beside them, called counters by their names and none: Prometheus' linter refuses them.
  for (const kind of ['handles', 'requests', 'resources']) {
    registry.removeSingleMetric(`nodejs_active_${kind}_total`);
  }
  registerStored(registry, createReader(db));
  registerLogFigures(registry, options.logFigures);
  new Gauge({
    name: 'minimcp_database_connections',
    help: 'Connections of the pool: in all, idle, and callers waiting for one',
    labelNames: ['state'],
    registers: [registry],
    collect() {
      const { total, idle, waiting } = db.stats();
      this.set({ state: 'total' }, total);
      this.set({ state: 'idle' }, idle);
      this.set({ state: 'waiting' }, waiting);
    },
  });
  new Gauge({
    name: 'minimcp_api_streams',
    help: 'Open streams of events',
    registers: [registry],
    collect() {
      this.set(streams.count);
    },
  });
  timeRequests(app, registry);
}

type Figure = readonly [labels: Record<string, string>, value: number];
interface Stored {
  readonly name: string;
  readonly help: string;
  readonly labelNames: readonly string[];
  readonly figures: (found: Found) => readonly Figure[];
}

/** What is read from the database, each with the figures it becomes. */
const stored: readonly Stored[] = [
  {
    name: 'minimcp_instances',
    help: 'Instances that are not removed, by status and type',
    labelNames: ['status', 'mcp_type'],
    figures: ({ instances }) =>
      instances.map(({ status, mcp_type, count }) => [{ status, mcp_type }, count] as const),
  },
  {
    name: 'minimcp_ports',
    help: 'Ports of the pools, by node and state',
    labelNames: ['node', 'state'],
    figures: ({ ports }) =>
      ports.map(({ node_id, state, count }) => [{ node: node_id, state }, count] as const),
  },
  {
    name: 'minimcp_leases_ending',
    help: 'Instances at work whose lease ends within so many minutes',
    labelNames: ['within_minutes'],
    figures: ({ leases }) => [
      [{ within_minutes: '5' }, leases.within_5],
      [{ within_minutes: '60' }, leases.within_60],
    ],
  },
  {
    name: 'minimcp_shim_memory_bytes',
    help: 'Resident memory of the shims of running instances, at the last health sweep: the largest, and all together',
    labelNames: ['of'],
    figures: ({ memory }) => [
      [{ of: 'largest' }, memory.shim_max],
      [{ of: 'all' }, memory.shim_sum],
    ],
  },
  {
    name: 'minimcp_instance_memory_bytes',
    help: 'Memory of all processes of running instances, at the last health sweep: the largest, and all together',
    labelNames: ['of'],
    figures: ({ memory }) => [
      [{ of: 'largest' }, memory.server_max],
      [{ of: 'all' }, memory.server_sum],
    ],
  },
  {
    name: 'minimcp_node_lease_seconds',
    help: 'How long the lease of each held node still runs; it is renewed every few seconds to 15',
    labelNames: ['node'],
    figures: ({ nodes }) => nodes.map(({ node_id, seconds }) => [{ node: node_id }, seconds] as const),
  },
  {
    name: 'minimcp_queue_jobs',
    help: 'Jobs by queue: ready to run, and running',
    labelNames: ['queue', 'state'],
    figures: ({ queues }) =>
      queues.flatMap(({ queue, ready, active }) => [
        [{ queue, state: 'ready' }, ready] as const,
        [{ queue, state: 'active' }, active] as const,
      ]),
  },
  {
    name: 'minimcp_queue_oldest_job_seconds',
    help: 'How long the job has waited that could run for longest; 0 when none waits',
    labelNames: [],
    figures: ({ queues }) => [[{}, Math.max(0, ...queues.map(({ oldest_seconds }) => oldest_seconds))]],
  },
];

function registerStored(registry: Registry, read: () => Promise<Found | undefined>): void {
  for (const { name, help, labelNames, figures } of stored) {
    new Gauge({
      ...{ name, help, labelNames, registers: [registry] },
      async collect() {
        const found = await read();
        // Also takes away what is no more; without labels that would be a 0 that nobody has read.
        this.reset();
        if (found === undefined && labelNames.length === 0) this.remove();
        for (const [labels, value] of found === undefined ? [] : figures(found)) this.set(labels, value);
      },
    });
  }
  new Gauge({
    name: 'minimcp_database_up',
    help: 'Whether the database answered this scrape',
    registers: [registry],
    async collect() {
      this.set((await read()) === undefined ? 0 : 1);
    },
  });
}

type Found = Awaited<ReturnType<typeof readOnce>>;

async function readOnce(db: Db) {
  const [instances, ports, leases, memory, nodes, queues] = await Promise.all([
    countByStatusAndType(db),
    countPorts(db),
    countEndingLeases(db),
    readMemory(db),
    readNodeLeases(db),
    readQueues(db),
  ]);
  return { instances, ports, leases, memory, nodes, queues };
}

/** What a scrape asks of the database: once, whichever figure asks first. Undefined when it does not answer. */
function createReader(db: Db): () => Promise<Found | undefined> {
  let reading: Promise<Found> | undefined;
  return () => {
    reading ??= readOnce(db).finally(() => {
      reading = undefined;
    });
    return reading.catch(() => undefined);
  };
}

function timeRequests(app: FastifyInstance, registry: Registry): void {
  const seconds = new Histogram({
    name: 'minimcp_api_request_seconds',
    help: 'Time to answer a request, by method, route and status',
    labelNames: ['method', 'route', 'status'],
    buckets: [0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 30],
    registers: [registry],
  });
  app.addHook('onResponse', (request, reply, done) => {
    // The pattern, never the path: labels must stay few.
    const route = request.routeOptions.url ?? 'none';
    seconds.observe({ method: request.method, route, status: reply.statusCode }, reply.elapsedTime / 1_000);
    done();
  });
}
