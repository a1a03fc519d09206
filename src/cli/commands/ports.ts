// `ports`: the pool that instances are given, and who holds what of it.
import type { Command } from 'commander';
import type { PortView } from '../../api/contract.ts';
import { declare, type Surroundings } from '../context.ts';
import { relative } from '../durations.ts';
import { oneLine } from '../output.ts';
import { table } from '../table.ts';

export function addPorts(program: Command, surroundings: Surroundings): void {
  declare<{ all?: boolean }>(program, surroundings, {
    usage: 'ports',
    summary: 'the pool of ports and who holds them',
    options: (command) => command.option('-a, --all', 'also the free ones'),
    handler: async (context, options) => {
      const { data, meta } = await context.api.all<PortView>('/ports');
      const free = data.filter((port) => port.is_available && port.quarantined_until === null).length;
      const shown =
        options.all === true ? data : data.filter((port) => !port.is_available || port.quarantined_until);
      const rows = shown.map((port) => [
        String(port.port),
        port.mcp_instance_id ?? '-',
        relative(port.allocated_at, meta.server_time),
        port.quarantined_until === null ? '-' : oneLine(port.quarantine_reason ?? 'quarantined'),
        port.node_id,
      ]);
      const head = `${free} of ${data.length} free`;
      const columns = [
        'PORT',
        'INSTANCE',
        { title: 'SINCE', yields: 2 },
        { title: 'QUARANTINE', yields: 1, least: 12 },
        { title: 'NODE', yields: 3, least: 8 },
      ];
      const list = table(columns, rows, context);
      return { document: data, text: rows.length === 0 ? head : `${list}\n${head}` };
    },
  });
}
