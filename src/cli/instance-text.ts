// How an instance looks to people: one row of a table, all that is known of one, one line after something was done
// to it. Pure.
import type { InstanceView, StatsView } from '../api/contract.ts';
import { relative } from './durations.ts';
import { formatBytes, oneLine, type Paint, paintStatus, pairs, printable } from './output.ts';
import { shortIds } from './resolve.ts';
import { type Look, table } from './table.ts';

/** The table of `ls`; `now` (of the server) is what its times are told from, where it is not that of each row. */
export function instanceTable(instances: readonly InstanceView[], look: Look, now?: string): string {
  const ids = shortIds(instances.map((instance) => instance.id));
  const rows = instances.map((instance, row) => [
    instance.name,
    ids[row] ?? instance.id,
    instance.mcp_type,
    statusText(instance, look.paint),
    relative(instance.expires_at, now ?? instance.server_time),
    relative(instance.created_at, now ?? instance.server_time),
    instance.access_url,
  ]);
  return table(columns, rows, look);
}

/** In a narrow terminal goes first when it was made, then its type, then the id: names are what people type. */
const columns = [
  'NAME',
  { title: 'ID', yields: 3 },
  { title: 'TYPE', yields: 4, least: 6 },
  'STATUS',
  'LEASE ENDS',
  { title: 'CREATED', yields: 5 },
  { title: 'URL', yields: 2 },
];

/** Status with what makes it worth a look: bad health, why it stopped. */
function statusText(instance: InstanceView, paint: Paint): string {
  const status = paintStatus(instance.status, paint);
  const remark =
    instance.status === 'running' || instance.status === 'pending'
      ? ['healthy', 'unknown', 'starting'].includes(instance.health)
        ? null
        : instance.health
      : instance.stop_reason;
  return remark === null || remark === instance.status ? status : `${status} (${remark})`;
}

function leaseText(instance: InstanceView): string {
  return relative(instance.expires_at, instance.server_time);
}

/** Everything `show` says. */
export function instanceDetails(instance: InstanceView, stats: StatsView | null, paint: Paint): string {
  const at = (time: string | null): string | null =>
    time === null
      ? null
      : `${relative(time, instance.server_time)}  (${time.slice(0, 19).replace('T', ' ')} UTC)`;
  return pairs(
    [
      ['name', instance.name],
      ['id', instance.id],
      ['type', instance.mcp_type],
      ['status', statusText(instance, paint)],
      [
        'queue',
        instance.queue_position === null ? null : `${instance.queue_position} of the starts that wait`,
      ],
      ['error', instance.error_message === null ? null : printable(instance.error_message).trimEnd()],
      ['exit code', instance.exit_code === null ? null : String(instance.exit_code)],
      ['url', instance.access_url],
      ['lease ends', at(instance.expires_at)],
      ['created', at(instance.created_at)],
      ['ready', at(instance.ready_at)],
      ['stopped', at(instance.stopped_at)],
      ['last used', at(instance.last_accessed)],
      ['process', instance.process_id === null ? null : `${instance.process_id} on ${instance.node_id}`],
      ['isolation', instance.isolation],
      ['generation', `${instance.generation}, ${times(instance.restarts, 'restart')}`],
      ['usage', stats === null ? null : usageText(stats)],
      ['requests', stats === null ? null : requestsText(stats)],
      ['config', Object.keys(instance.config).length === 0 ? null : oneLine(JSON.stringify(instance.config))],
    ],
    paint,
  );
}

function usageText(stats: StatsView): string | null {
  if (stats.cpu_percent === null || stats.memory_bytes === null) return null;
  const processes = stats.processes === null ? '' : `, ${times(stats.processes, 'process', 'es')}`;
  return `${stats.cpu_percent.toFixed(1)} % CPU, ${formatBytes(stats.memory_bytes)}${processes}`;
}

function requestsText(stats: StatsView): string {
  return `${stats.requests} in all, ${stats.in_flight} in flight, ${times(stats.sessions, 'MCP session')}`;
}

/** `1 restart`, `2 restarts` */
function times(count: number, what: string, plural = 's'): string {
  return `${count} ${what}${count === 1 ? '' : plural}`;
}

/** One line: what it is now. */
export function instanceLine(instance: InstanceView, paint: Paint): string {
  const lease = instance.status === 'expired' ? 'lease ended' : 'lease ends';
  return `${paint('bold', instance.name)} is ${statusText(instance, paint)}, ${lease} ${leaseText(instance)}`;
}
