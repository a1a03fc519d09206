// Lets the supervisor itself into a living generation, by way of its shim, with a token of its own that is good for a
// moment. The access token is its owner's: it is neither known here nor changed.
import type { Visitor } from '../shim/contract.ts';
import type { Admitted, Handle } from './driver.ts';
import { fenced } from './generations.ts';
import type { LocalState } from './local-state.ts';
import { ShimRefusal } from './shim-client.ts';

const answerMs = 2_000;

/** @throws Fault node_fenced; Error when the shim cannot be asked */
export async function admitVisitor(state: LocalState, handle: Handle, visitor: Visitor): Promise<Admitted> {
  try {
    const client = await state.links.client(handle, answerMs);
    await client.ask({ method: 'visitor', visitor }, answerMs);
  } catch (error) {
    if (!(error instanceof ShimRefusal)) throw error;
    if (error.code === 'fenced') throw fenced(error);
    return { outcome: error.code === 'full' ? 'full' : 'unsupported' };
  }
  return { outcome: 'admitted', url: `http://${nearHost(state.options.instanceHost)}:${handle.port}/mcp` };
}

/** Where what listens on `host` is reached from this machine. */
function nearHost(host: string): string {
  if (host === '0.0.0.0') return '127.0.0.1';
  if (host === '::') return '[::1]';
  return host.includes(':') ? `[${host}]` : host;
}
