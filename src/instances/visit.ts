// The supervisor's way into a running instance when somebody tries a tool through the API. It holds no access token, so
// it has the shim let in a token made for this one visit. Who did it is written down, what they said to the tool never.
import { Fault, messageOf } from '../base/errors.ts';
import { hashToken, newToken } from '../base/tokens.ts';
import type { Db, Fence } from '../db/pool.ts';
import { insertEvent } from '../db/queries/events.ts';
import { readInstance } from '../db/queries/instances.ts';
import type { Instance } from '../domain/instance.ts';
import type { Admitted } from '../runtime/driver.ts';
import type { Effects } from './effects.ts';
import type { Actor, Visit } from './types.ts';
import { requireVisible } from './visible.ts';

export interface VisitOptions {
  readonly db: Db;
  readonly fence: () => Fence;
  readonly nodeId: string;
  readonly effects: Pick<Effects, 'admit'>;
}

/** How long a visit may last; the shim ends it then, whatever becomes of this process. */
const visitMsMax = 60_000;

/** What `Manager.visit` does. */
export async function visit(
  options: VisitOptions,
  actor: Actor,
  id: string,
  tool: string | undefined,
): Promise<Visit> {
  const { row } = requireVisible(await readInstance(options.db, id), id, actor);
  if (row.status !== 'running') throw new Fault('illegal_in_status', whyNot(row));
  if (row.node_id !== options.nodeId)
    throw new Fault('instance_unreachable', `"${row.name}" runs on node ${row.node_id}: ask the API there`);
  const token = newToken('mmv_');
  const tokenSha256 = hashToken(token).toString('hex');
  const admitted = await admit(options, row, tokenSha256);
  const leave = async (): Promise<void> => {
    await options.effects.admit(row, { tokenSha256, remainingMs: 0 }).catch(() => {});
  };
  if (tool === undefined) return { url: admitted.url, token, leave };
  try {
    await options.db.tx(
      (tx) =>
        insertEvent(tx, {
          instanceId: id,
          userId: row.user_id,
          actorId: actor.userId,
          type: 'tool_tried',
          data: { tool },
          ip: actor.ip,
          userAgent: actor.userAgent,
        }),
      options.fence(),
    );
  } catch (error) {
    await leave();
    throw error;
  }
  return { url: admitted.url, token, leave };
}

async function admit(
  options: VisitOptions,
  row: Instance,
  tokenSha256: string,
): Promise<Extract<Admitted, { outcome: 'admitted' }>> {
  const admitted = await options.effects
    .admit(row, { tokenSha256, remainingMs: visitMsMax })
    .catch((error: unknown) => {
      if (error instanceof Fault) throw error;
      throw new Fault('instance_unreachable', `"${row.name}" cannot be asked: ${messageOf(error)}`);
    });
  switch (admitted?.outcome) {
    case 'admitted':
      return admitted;
    case 'full':
      throw new Fault('rate_limited', `too many tools of "${row.name}" are being tried`, { retryAfterS: 2 });
    case 'unsupported':
      throw new Fault(
        'restart_required',
        `"${row.name}" was started by another version of MiniMCP, which lets nobody in to try its tools`,
      );
    default:
      throw new Fault('instance_unreachable', `"${row.name}" is not to be found on this machine`);
  }
}

function whyNot({ name, status, stop_reason: reason }: Instance): string {
  if (status === 'disconnected' && reason === 'idle')
    return `"${name}" sleeps: restore it first, or let a request to its URL wake it`;
  if (status === 'disconnected' || status === 'error') return `"${name}" is ${status}: restore it first`;
  if (status === 'expired') return `"${name}" is expired: renew it first`;
  return `"${name}" is ${status}: its tools can be tried while it runs`;
}
