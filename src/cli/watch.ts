// `ls --watch`: the list as it changes. The stream says what changed; the list is read again whenever the stream cannot
// have told everything (at first, after a gap, after a restart of the daemon).
import type { InstanceView } from '../api/contract.ts';
import { monotonicMs, sleep } from '../base/clock.ts';
import { type Api, createApi, type Query } from './client.ts';
import type { Context } from './context.ts';
import { isPassing, lostMsMax, reconnectMs } from './follow.ts';
import { canRedraw } from './output.ts';
import { createLineBoard, createScreenBoard } from './watch-board.ts';

/** Shows the instances that `filter` finds until the signal aborts. */
export async function watchInstances(context: Context, filter: Query): Promise<void> {
  const { out } = context.streams;
  // At once, not after a minute of patience, where there is no daemon at all.
  const { data: first } = await context.api.all<InstanceView>('/instances', filter);
  const board =
    canRedraw(out, context.env) && !context.json ? createScreenBoard(context) : createLineBoard(context);
  const onLost = (lost: boolean): void => board.lost(lost);
  // Not the context's own: that one would write what it waits for into the table.
  const api = createApi(context.config, context.signal);
  try {
    board.replace(first);
    for await (const event of api.follow('/stream', {}, context.signal, { onLost })) {
      if (event.event === 'resync') {
        board.replace(await readList(api, filter, context.signal));
      } else if (event.event === 'removed') {
        board.change((JSON.parse(event.data) as { id: string }).id, undefined);
      } else if (event.event === 'instance') {
        const instance = JSON.parse(event.data) as InstanceView;
        board.change(instance.id, matches(instance, filter) ? instance : undefined);
      }
    }
  } catch (error) {
    if (!context.signal.aborted) throw error;
  } finally {
    board.close();
  }
}

/** The list, as soon as it can be had: a stream may come back before the database does. */
async function readList(api: Api, filter: Query, signal: AbortSignal): Promise<readonly InstanceView[]> {
  const endMs = monotonicMs() + lostMsMax;
  for (;;) {
    try {
      return (await api.all<InstanceView>('/instances', filter)).data;
    } catch (error) {
      if (!isPassing(error) || signal.aborted || monotonicMs() > endMs) throw error;
      await sleep(reconnectMs, signal);
    }
  }
}

/** Whether the list would have it; the stream tells of everything the caller may see. */
function matches(instance: InstanceView, filter: Query): boolean {
  const ended = instance.status === 'expired';
  if (ended && filter.include_ended !== true && filter.status === undefined) return false;
  return (['status', 'mcp_type', 'user_id'] as const).every(
    (key) => filter[key] === undefined || filter[key] === instance[key],
  );
}
