// `config`: what to paste into an MCP client to reach an instance. The access token is stored nowhere, so it is a
// placeholder unless it is given or a new one is asked for.
import { join } from 'node:path';
import { type Command, Option } from 'commander';
import type { InstanceView, InstanceWithToken } from '../../api/contract.ts';
import { Fault } from '../../base/errors.ts';
import { type ClientConfig, type ClientName, clientConfig, clients } from '../../domain/client-config.ts';
import { type Context, declare, type Surroundings } from '../context.ts';
import type { Paint } from '../output.ts';
import { resolveInstance } from '../resolve.ts';

export interface TokenOptions {
  tokenFromEnv?: string;
  newToken?: boolean;
}

interface ConfigOptions extends TokenOptions {
  client: ClientName;
}

/** This command line, as a client of this machine can start it from anywhere. */
const ownProgram = [process.execPath, join(import.meta.dirname, '../../../bin/minimcp.js')] as const;

export function addConfig(program: Command, surroundings: Surroundings): void {
  declare<ConfigOptions>(program, surroundings, {
    usage: 'config <id>',
    summary: 'what to paste into an MCP client',
    options: (command) => {
      command.addOption(
        new Option('--client <client>', 'which client it is for').choices(clients).makeOptionMandatory(),
      );
      addTokenOptions(command);
    },
    handler: async (context, options, wish = '') => {
      const { config } = await configOf(context, wish, options.client, options);
      return { document: config, text: configText(config, context.paint) };
    },
  });
}

export function addTokenOptions(command: Command): void {
  command
    .addOption(
      new Option('--token-from-env <variable>', 'the access token, from this variable').conflicts('newToken'),
    )
    .option('--new-token', 'make a new access token; the old one stops working at once');
}

interface Configured {
  readonly config: ClientConfig;
  readonly token: string | undefined;
  readonly id: string;
  readonly name: string;
}

/** The instance behind `wish` and what `client` wants for it, with the token the options give. */
export async function configOf(
  context: Context,
  wish: string,
  client: ClientName,
  options: TokenOptions,
): Promise<Configured> {
  const given = tokenFromEnv(context, options.tokenFromEnv);
  const id = await resolveInstance(context.api, wish);
  if (options.newToken === true) {
    const body = {};
    const instance = await context.api.one<InstanceWithToken>('POST', `/instances/${id}/token`, { body });
    return configured(instance, client, instance.access_token);
  }
  return configured(await context.api.one<InstanceView>('GET', `/instances/${id}`), client, given);
}

function configured(
  { id, name, access_url: url }: InstanceView,
  client: ClientName,
  token: string | undefined,
): Configured {
  return { config: clientConfig(client, { name, url, token, program: ownProgram }), token, id, name };
}

function tokenFromEnv(context: Context, variable: string | undefined): string | undefined {
  if (variable === undefined) return undefined;
  const value = context.env[variable];
  if (value !== undefined && value !== '') return value;
  throw new Fault('malformed_request', `the environment variable ${variable} is not set, or is empty`);
}

/** The configuration as people read it: where it goes, what goes there, what else there is to know. */
export function configText(config: ClientConfig, paint: Paint): string {
  return [
    paint('dim', `${config.title}: ${config.where}`),
    '',
    config.content,
    ...(config.link === null ? [] : ['', paint('dim', 'or open'), config.link]),
    ...(config.notes.length === 0 ? [] : ['', ...config.notes.map((note) => paint('dim', note))]),
  ].join('\n');
}
