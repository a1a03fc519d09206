// `show`: everything known about one instance, with what it uses right now.
import type { Command } from 'commander';
import type { InstanceView, StatsView } from '../../api/contract.ts';
import { isNotFound } from '../api-error.ts';
import { declare, type Surroundings } from '../context.ts';
import { instanceDetails } from '../instance-text.ts';
import { resolveInstance } from '../resolve.ts';

export function addShow(program: Command, surroundings: Surroundings): void {
  declare(program, surroundings, {
    usage: 'show <id>',
    summary: 'show one instance',
    handler: async (context, _options, wish = '') => {
      const id = await resolveInstance(context.api, wish);
      const [instance, stats] = await Promise.all([
        context.api.one<InstanceView>('GET', `/instances/${id}`),
        // Removed between the two requests: the first answer still counts.
        context.api
          .one<StatsView>('GET', `/instances/${id}/stats`)
          .catch((error: unknown) => (isNotFound(error) ? null : Promise.reject(error))),
      ]);
      return {
        document: { ...instance, usage: stats },
        text: instanceDetails(instance, stats, context.paint),
      };
    },
  });
}
