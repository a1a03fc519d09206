// Figures for Prometheus, read when they are asked for: instances, ports, the database pool, this process, requests.
// With the database away the figures that need it are left out and minimcp_database_up is 0; a scrape never fails.
import type { FastifyInstance } from 'fastify';
import { collectDefaultMetrics, Gauge, Histogram, type Registry } from 'prom-client';
import type { Db } from '../db/pool.ts';
import { countByStatusAndType } from '../db/queries/instance-views.ts';
import { countPorts } from '../db/queries/port-views.ts';
import type { Streams } from './streams.ts';

export interface MetricsOptions {
  readonly registry: Registry;
  readonly db: Db;
  readonly streams: Streams;
}

/** Registers everything this room knows. Once per registry. */
export function registerMetrics(app: FastifyInstance, { registry, db, streams }: MetricsOptions): void {
  collectDefaultMetrics({ register: registry });
  const registers = [registry];
  const read = createReader(db);
  new Gauge({
    name: 'minimcp_instances',
    help: 'Instances that are not removed, by status and type',
    labelNames: ['status', 'mcp_type'],
    registers,
    async collect() {
      this.reset();
      for (const row of (await read())?.instances ?? []) {
        this.set({ status: row.status, mcp_type: row.mcp_type }, row.count);
      }
    },
  });
  new Gauge({
    name: 'minimcp_ports',
    help: 'Ports of the pools, by node and state',
    labelNames: ['node', 'state'],
    registers,
    async collect() {
      this.reset();
      for (const row of (await read())?.ports ?? [])
        this.set({ node: row.node_id, state: row.state }, row.count);
    },
  });
  new Gauge({
    name: 'minimcp_database_up',
    help: 'Whether the database answered this scrape',
    registers,
    async collect() {
      this.set((await read()) === undefined ? 0 : 1);
    },
  });
  new Gauge({
    name: 'minimcp_database_connections',
    help: 'Connections of the pool: in all, idle, and callers waiting for one',
    labelNames: ['state'],
    registers,
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
    registers,
    collect() {
      this.set(streams.count);
    },
  });
  timeRequests(app, registry);
}

/** What a scrape asks of the database: once, whichever figure asks first. Undefined when it does not answer. */
function createReader(db: Db) {
  const readOnce = async () => {
    const [instances, ports] = await Promise.all([countByStatusAndType(db), countPorts(db)]);
    return { instances, ports };
  };
  let reading: ReturnType<typeof readOnce> | undefined;
  return () => {
    reading ??= readOnce().finally(() => {
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
