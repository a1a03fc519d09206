// What the daemon says of itself, and what in it is a trouble. Pure.
import type { reportSchema } from '../../../api/contract.ts';
import { formatSpan } from '../../format.ts';

export type HealthReport = (typeof reportSchema)['_output'];
export type HealthDetails = NonNullable<HealthReport['details']>;

/** Jobs older than this wait for something that does not come. */
const oldestSMax = 60;
const lagMsMax = 30_000;

export const databaseTrouble =
  'The database does not answer. Running instances go on; nothing new can be asked for until it is back. Look whether PostgreSQL runs and its disk has room.';

/** What is wrong, each with what to do. */
export function troublesOf({ database, details }: HealthReport): readonly string[] {
  const found: string[] = [];
  if (!database.ok) found.push(databaseTrouble);
  if (details === null) return found;
  const { logs, keys, queue, nodes } = details;
  if (keys.problem)
    found.push(`Secrets cannot be opened: ${keys.problem}. "minimcp doctor" says what to mend.`);
  if (logs.problem) found.push(`Logs are not stored: ${logs.problem}. They wait on disk meanwhile.`);
  if (logs.lag_ms > lagMsMax)
    found.push(`Logs are ${formatSpan(logs.lag_ms)} behind. They wait on disk meanwhile.`);
  if (queue && queue.oldest_s > oldestSMax)
    found.push(`A job has waited for ${formatSpan(queue.oldest_s * 1_000)}. The daemon's log says why.`);
  for (const node of nodes ?? []) {
    if (node.state === 'lost')
      found.push(`Node ${node.id} is lost: its lease is over. Start its daemon again.`);
    if (node.state === 'draining') found.push(`Node ${node.id} is draining: it takes no new work.`);
  }
  return found;
}
