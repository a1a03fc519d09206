// What a port is at this moment. Pure.
import type { PortView } from '../../../api/contract.ts';

export type PortState = 'free' | 'held' | 'quarantined';

export const portStates: readonly PortState[] = ['free', 'held', 'quarantined'];
/** A shape for the eye that tells no colours apart. */
export const letters: Readonly<Record<PortState, string>> = { free: '·', held: 'H', quarantined: 'Q' };

export function stateOf(port: PortView, nowMs: number): PortState {
  if (port.mcp_instance_id !== null) return 'held';
  const isResting = port.quarantined_until !== null && Date.parse(port.quarantined_until) > nowMs;
  return isResting || !port.is_available ? 'quarantined' : 'free';
}

export const idOf = (port: PortView): string => `${port.node_id}:${port.port}`;
