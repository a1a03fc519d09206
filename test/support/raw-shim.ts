// A shim in front of test/fixtures/mcp/raw-child.ts, and what that child can tell of itself.
import { join } from 'node:path';
import type { Bounds, LaunchSpec } from '../../src/shim/contract.ts';
import { type Endpoint, type LegacyClient, toolText } from './mcp-http.ts';
import { type RunningShim, startShim } from './shim-harness.ts';

export const rawChildScript = join(import.meta.dirname, '..', 'fixtures', 'mcp', 'raw-child.ts');

/** Starts it. */
export function startRawShim(
  bounds: Partial<Bounds> = {},
  spec: Partial<LaunchSpec> = {},
): Promise<RunningShim> {
  return startShim({ child: { args: [rawChildScript] }, bounds, spec });
}

export interface Received {
  // biome-ignore lint/suspicious/noExplicitAny: JSON-RPC as it came
  readonly received: any[];
  readonly invalid: number;
}

/** Everything the child was ever sent. */
export async function receivedBy(client: LegacyClient): Promise<Received> {
  return JSON.parse(toolText(await client.call('received'))) as Received;
}

/** Where a shim is and how to get in. */
export function endpointOf({ url, token }: RunningShim): Endpoint {
  return { url, token };
}
