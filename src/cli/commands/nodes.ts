// `nodes`: the machines of this installation and how long each still counts as held (admins).
import type { Command } from 'commander';
import type { NodeView } from '../../api/contract.ts';
import { declare, type Surroundings } from '../context.ts';
import { relative } from '../durations.ts';
import { oneLine, paintStatus } from '../output.ts';
import { table } from '../table.ts';

export function addNodes(program: Command, surroundings: Surroundings): void {
  declare(program, surroundings, {
    usage: 'nodes',
    summary: 'the machines of this installation (admins)',
    handler: async (context) => {
      const { data, meta } = await context.api.all<NodeView>('/nodes');
      const rows = data.map((node) => [
        oneLine(node.id),
        paintStatus(node.state, context.paint),
        oneLine(node.version),
        relative(node.lease_until, meta.server_time),
        oneLine(JSON.stringify(node.capacity)),
      ]);
      const capacity = { title: 'CAPACITY', yields: 2, least: 10 };
      const columns = ['NODE', 'STATE', { title: 'VERSION', yields: 1 }, 'HELD UNTIL', capacity];
      return { document: data, text: table(columns, rows, context) };
    },
  });
}
