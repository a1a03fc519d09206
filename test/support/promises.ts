// The promises that must hold whatever happened, read off the machine and the database, past the supervisor: P1 every
// process belongs to a row at work, P2 every port is free or held by exactly one, P3 nothing outlives its lease, and
// what is over for good is wiped, with a receipt. What is broken is told in words; it repairs nothing.
import { existsSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Queryable } from '../../src/db/pool.ts';
import { uidRangeHere } from '../../src/runtime/uids.ts';
import type { Daemon } from './daemon.ts';

/** A daemon as far as the promises are concerned. */
export type Watched = Pick<Daemon, 'dataDir' | 'database'>;

export interface OurProcess {
  readonly pid: number;
  readonly ppid: number;
  /** Of the instance it belongs to, by its directory, its environment or its parents. */
  readonly instanceId: string | undefined;
  /** Set for a shim: the generation its bundle is of. */
  readonly generation: number | undefined;
  readonly cmdline: string;
}

/** Drain, grace and what a shim may take beyond, with room for a busy machine, seconds. */
const graceSeconds = 15;

/** Every living process that the supervisor of this data directory has started, itself left out. */
export function ourProcesses(dataDir: string): OurProcess[] {
  const range = uidRangeHere(dataDir);
  const found = new Map<number, OurProcess & { readonly ours: boolean }>();
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    const stat = textOf(join('/proc', name, 'stat'));
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    // Neither what has ended nor threads of the kernel, which has nearly all of them below process 2.
    if (stat === '' || /^[ZX]/.test(fields[0] ?? '') || fields[1] === '2') continue;
    const cmdline = textOf(join('/proc', name, 'cmdline')).replaceAll('\0', ' ');
    const environ = `\0${textOf(join('/proc', name, 'environ'))}`;
    if (environ.includes(`\0MINIMCP_DATA_DIR=${dataDir}\0`)) continue;
    const uid = Number(/^Uid:\s*(\d+)/m.exec(textOf(join('/proc', name, 'status')))?.[1] ?? -1);
    const cwd = linkOf(join('/proc', name, 'cwd'));
    const bundle = /\/instances\/([0-9a-f-]{36})\/(\d+)$/.exec(cwd);
    const inside = cwd.startsWith(`${dataDir}/`) || cmdline.includes(`${dataDir}/`);
    found.set(Number(name), {
      pid: Number(name),
      ppid: Number(fields[1]),
      instanceId: bundle?.[1] ?? /\0MCP_INSTANCE_ID=([0-9a-f-]{36})\0/.exec(environ)?.[1],
      generation: bundle?.[2] === undefined || !inside ? undefined : Number(bundle[2]),
      cmdline,
      ours: inside || (range !== undefined && uid >= range.base && uid < range.base + range.span),
    });
  }
  const rootOf = (pid: number, depth = 0): (OurProcess & { readonly ours: boolean }) | undefined => {
    const one = found.get(pid);
    if (one === undefined || depth > 30) return undefined;
    return one.ours && one.instanceId !== undefined ? one : rootOf(one.ppid, depth + 1);
  };
  return [...found.values()].flatMap((one) => {
    const root = rootOf(one.pid);
    if (!one.ours && root === undefined) return [];
    return [{ ...one, instanceId: one.instanceId ?? root?.instanceId }];
  });
}

interface Row {
  readonly id: string;
  readonly status: string;
  readonly stop_reason: string | null;
  readonly generation: number;
  readonly assigned_port: number | null;
  readonly overdue_seconds: number;
  readonly final: boolean;
  readonly receipts: number;
}

const atWork = ['pending', 'running', 'stopping'];

/** What is not as promised now, one sentence each. */
async function brokenPromises(daemon: Watched): Promise<string[]> {
  const { rows, ports } = await readBoth(daemon);
  const byId = new Map(rows.map((row) => [row.id, row]));
  return [
    ...brokenProcesses(ourProcesses(daemon.dataDir), byId),
    ...brokenPorts(ports, rows),
    ...rows.flatMap((row) => brokenEnd(daemon.dataDir, row)),
  ];
}

interface Port {
  readonly port: number;
  readonly is_available: boolean;
  readonly mcp_instance_id: string | null;
}

/** Both tables as they were at one moment. */
function readBoth({ database }: Watched): Promise<{ rows: Row[]; ports: Port[] }> {
  return database.db.tx(async (tx) => {
    await tx.query('SET TRANSACTION ISOLATION LEVEL REPEATABLE READ');
    const ports = await tx.query<Port>('SELECT port, is_available, mcp_instance_id FROM port_allocations');
    return { rows: await readRows(tx), ports };
  });
}

function readRows(tx: Queryable): Promise<Row[]> {
  return tx.query<Row>(
    `SELECT id, status, stop_reason, generation, assigned_port,
       extract(epoch FROM clock_timestamp() - expires_at)::float8 AS overdue_seconds,
       (deleted_at IS NOT NULL OR status = 'expired') AS final,
       (SELECT count(*) FROM mcp_events WHERE mcp_instance_id = i.id AND event_type = 'receipt'
          AND event_data->>'generation' = i.generation::text) AS receipts
     FROM mcp_instances i`,
  );
}

/** Waits until every promise holds. @throws with what is broken after `ms` */
export async function untilPromisesHold(daemon: Watched, ms = 15_000): Promise<void> {
  for (const startedMs = performance.now(); ; await sleep(100)) {
    const broken = await brokenPromises(daemon);
    if (broken.length === 0) return;
    if (performance.now() - startedMs > ms)
      throw new Error(`broken after ${ms} ms:\n  ${broken.join('\n  ')}`);
  }
}

function brokenProcesses(processes: readonly OurProcess[], rows: ReadonlyMap<string, Row>): string[] {
  const shims = new Map<string, OurProcess[]>();
  const broken: string[] = [];
  for (const one of processes) {
    const row = one.instanceId === undefined ? undefined : rows.get(one.instanceId);
    const who = `process ${one.pid} (${one.cmdline.slice(0, 120)})`;
    if (row === undefined) broken.push(`P1: ${who} belongs to no row (${one.instanceId ?? 'no instance'})`);
    else if (!atWork.includes(row.status)) broken.push(`P1: ${who} lives though ${row.id} is ${row.status}`);
    else if (one.generation !== undefined) {
      shims.set(row.id, [...(shims.get(row.id) ?? []), one]);
      if (one.generation !== row.generation)
        broken.push(`P1: ${who} is generation ${one.generation}; ${row.id} has ${row.generation}`);
    }
  }
  for (const row of rows.values()) {
    // A wrapper and the shim it becomes may be seen as parent and child for a moment.
    const own = (shims.get(row.id) ?? []).filter(
      ({ ppid }) => !shims.get(row.id)?.some(({ pid }) => pid === ppid),
    );
    if (own.length > 1) broken.push(`P1: ${row.id} has ${own.length} shims`);
    if (own.length === 0 && row.status === 'running') broken.push(`P1: ${row.id} runs without a process`);
  }
  return broken;
}

function brokenPorts(ports: readonly Port[], rows: readonly Row[]): string[] {
  const listening = listeningPorts();
  const broken: string[] = [];
  for (const { port, is_available: free, mcp_instance_id: holder } of ports) {
    const holders = rows.filter((row) => row.assigned_port === port);
    if (free && (holder !== null || holders.length > 0)) broken.push(`P2: port ${port} is free and held`);
    if (!free && (holders.length !== 1 || holders[0]?.id !== holder))
      broken.push(`P2: port ${port} is taken by ${holder} and held by ${holders.map(({ id }) => id)}`);
    if (free && listening.has(port)) broken.push(`P2: port ${port} is free and something listens on it`);
  }
  for (const row of rows) {
    const asleep = row.status === 'disconnected' && row.stop_reason === 'idle';
    if ((row.assigned_port !== null) !== atWork.includes(row.status) && !asleep)
      broken.push(`P2: ${row.id} is ${row.status} with port ${row.assigned_port}`);
  }
  return broken;
}

function brokenEnd(dataDir: string, row: Row): string[] {
  if (atWork.includes(row.status)) {
    return row.overdue_seconds > graceSeconds
      ? [`P3: ${row.id} is ${row.status} ${Math.round(row.overdue_seconds)} s after its lease`]
      : [];
  }
  if (!row.final) return [];
  return [
    ...(existsSync(join(dataDir, 'instances', row.id, 'home')) ? [`wiped: ${row.id} still has a home`] : []),
    ...(row.receipts === 1 ? [] : [`receipt: ${row.id} has ${row.receipts} for its last generation`]),
  ];
}

/** Ports that anything listens on, on IPv4. */
function listeningPorts(): Set<number> {
  const lines = textOf('/proc/net/tcp').split('\n').slice(1);
  return new Set(
    lines.flatMap((line) => {
      const [, local = '', , state] = line.trim().split(/\s+/);
      return state === '0A' ? [Number.parseInt(local.split(':')[1] ?? '', 16)] : [];
    }),
  );
}

function textOf(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}

function linkOf(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return '';
  }
}
