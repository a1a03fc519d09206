// `bridge`: an instance as a stdio MCP server, for clients that take no remote servers. With URL and token it needs no
// daemon. The token comes from the environment, never from an argument, where every process of the machine could read it.
import type { Readable } from 'node:stream';
import type { Command } from 'commander';
import type { InstanceView, InstanceWithToken } from '../../api/contract.ts';
import { monotonicMs } from '../../base/clock.ts';
import { Fault } from '../../base/errors.ts';
import { isNotFound } from '../api-error.ts';
import { Refusal } from '../bridge/messages.ts';
import type { Whereabouts } from '../bridge/wire.ts';
import { type Context, declare, type Surroundings } from '../context.ts';
import { resolveInstance } from '../resolve.ts';

interface BridgeCommandOptions {
  url?: string;
  newToken?: boolean;
}

const tokenVariable = 'MINIMCP_ACCESS_TOKEN';
/** Least time between two questions to the daemon, milliseconds. */
const askAgainMs = 2_000;

export function addBridge(program: Command, surroundings: Surroundings): void {
  declare<BridgeCommandOptions>(program, surroundings, {
    usage: 'bridge <id>',
    summary: `an instance on standard input and output; the access token from ${tokenVariable}`,
    options: (command) =>
      command
        .option('--url <url>', 'where the instance listens; the daemon is not asked')
        .option('--new-token', 'make a new access token; the old one stops working at once'),
    examples: [
      ['minimcp bridge scratch --url http://127.0.0.1:3001/mcp', 'what a client starts; no daemon is needed'],
    ],
    handler: bridge,
  });
}

async function bridge(context: Context, options: BridgeCommandOptions, wish = ''): Promise<undefined> {
  const { runBridge } = await import('../bridge/bridge.ts');
  const { createWire } = await import('../bridge/wire.ts');
  const { url, token } = await targetOf(context, options, wish);
  const wire = createWire({ name: wish, url, token, ask: askDaemon(context, wish, url) });
  await runBridge({
    wire,
    input: context.streams.in as Readable,
    output: context.streams.out,
    note: (text) => context.note(`minimcp bridge ${wish}: ${text}`),
    signal: context.signal,
  });
  context.signal.throwIfAborted();
  return undefined;
}

async function targetOf(
  { api, env }: Context,
  { url, newToken }: BridgeCommandOptions,
  wish: string,
): Promise<{ readonly url: string; readonly token: string }> {
  if (url !== undefined && !(/^https?:\/\//.test(url) && URL.canParse(url)))
    throw new Fault('malformed_request', `--url takes an http or https URL; got "${url}"`);
  if (newToken === true) {
    const id = await resolveInstance(api, wish);
    const instance = await api.one<InstanceWithToken>('POST', `/instances/${id}/token`, { body: {} });
    return { url: url ?? instance.access_url, token: instance.access_token };
  }
  const token = env[tokenVariable]?.trim();
  if (token === undefined || token === '') {
    throw new Fault(
      'malformed_request',
      `${tokenVariable} is not set: put the access token into it, or take a new one with --new-token ` +
        '(clients that hold the old one are shut out)',
    );
  }
  if (url !== undefined) return { url, token };
  const instance = await api.one<InstanceView>('GET', `/instances/${await resolveInstance(api, wish)}`);
  return { url: instance.access_url, token };
}

/** Asks the daemon, when the instance does not answer, whether waiting is of use. No daemon is no answer. */
function askDaemon({ api }: Context, wish: string, firstUrl: string): () => Promise<Whereabouts | undefined> {
  let nextMs = 0;
  return async () => {
    if (monotonicMs() < nextMs) return undefined;
    nextMs = monotonicMs() + askAgainMs;
    try {
      const id = await resolveInstance(api, wish);
      const instance = await api.one<InstanceView>('GET', `/instances/${id}`);
      return { url: instance.access_url, ended: endOf(instance) };
    } catch (error) {
      const isGone = isNotFound(error) || (error instanceof Fault && error.code === 'not_found');
      return isGone
        ? { url: firstUrl, ended: new Refusal(`There is no instance ${wish} any more.`) }
        : undefined;
    }
  };
}

/** Why nothing will answer until somebody does something; null while it may. */
function endOf({ name, status, expires_at: endedAt, error_message: reason }: InstanceView): Refusal | null {
  if (status === 'expired') {
    const message = `The lease of this instance ended at ${endedAt}. Renew it: minimcp renew ${name}`;
    return new Refusal(message, { data: { code: 'lease_over', endedAt } });
  }
  if (status === 'disconnected') return new Refusal(`${name} is stopped. Start it: minimcp restore ${name}`);
  if (status !== 'error') return null;
  return new Refusal(
    `${name} has failed (${reason ?? 'no reason given'}). Start it: minimcp restore ${name}`,
  );
}
