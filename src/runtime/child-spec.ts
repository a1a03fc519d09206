// How the MCP server of one instance is started: its command line, complete with limits and sandbox, and its whole
// environment, built from nothing. Pure. Secrets are in the environment and nowhere else.
import { join } from 'node:path';
import type { ServerType } from '../domain/server-type.ts';
import type { ChildSpec } from '../shim/contract.ts';
import { enableFile } from './compile-cache.ts';
import type { Limits } from './driver.ts';
import { inside, proxyPort, type SandboxSpec, type SandboxTools, sandboxArgv } from './sandbox.ts';
import type { RuntimeFiles } from './store.ts';

export interface ChildSpecInput {
  readonly instanceId: string;
  readonly type: ServerType;
  readonly config: Record<string, unknown>;
  readonly apiKey: string | null;
  readonly limits: Limits;
  readonly home: string;
  readonly tmp: string;
  /** Directory of the package store that holds node_modules, and the script relative to it. */
  readonly package: { readonly dir: string; readonly script: string };
  readonly files: RuntimeFiles;
  /** Null: no sandbox is to be had. */
  readonly sandbox: SandboxTools | null;
  readonly netNamespace: boolean;
  readonly prlimit: string | null;
  /** Limit on the processes of its user, where the user is its own and no cgroup counts. */
  readonly userProcessesMax: number | null;
  readonly compileCache: string | null;
  readonly httpPort: number | null;
  /** Where the socket of the proxy is, for a type with an allow-list. */
  readonly egressDir: string;
}

/** How an instance may fill in what its type leaves open. */
export interface InstanceConfig {
  readonly environment: Readonly<Record<string, string>>;
  /** Values by the name of the input, each a list of arguments. */
  readonly arguments: Readonly<Record<string, readonly string[]>>;
}

/** Where an argument of the owner goes; kept in config_template.arguments, in order. */
export interface ArgumentSlot {
  readonly name: string;
  /** For named arguments: the flag in front of each value. */
  readonly flag?: string | undefined;
}

/** The child's command line and environment. */
export function buildChildSpec(input: ChildSpecInput): ChildSpec {
  const boxed = input.sandbox !== null;
  const home = boxed ? inside.home : input.home;
  const root = boxed ? inside.package : input.package.dir;
  const node = boxed ? inside.node : input.files.node;
  const argv = [
    ...limitArgv(input),
    ...(input.sandbox === null
      ? []
      : sandboxArgv({
          tools: input.sandbox,
          node: input.files.node,
          sharedObjects: input.files.sharedObjects,
          etc: input.files.etc,
          packageDir: input.package.dir,
          home: input.home,
          tmp: input.tmp,
          compileCache: input.compileCache === null ? null : { dir: input.compileCache, writable: false },
          network: networkOf(input),
          readOnlyPaths: input.type.read_only_paths,
        })),
    node,
    ...(boxed && input.compileCache !== null ? ['--require', join(inside.cache, enableFile)] : []),
    ...(hasProxy(input) ? ['--require', inside.relay] : []),
    join(root, input.package.script),
    ...argumentsOf(input.type, input.config, home),
  ];
  return {
    command: argv[0] ?? node,
    args: argv.slice(1),
    cwd: input.home,
    env: environmentOf(input, home),
    transport: input.type.transport,
    ...(input.httpPort === null ? {} : { httpPort: input.httpPort }),
    startTimeoutMs: input.type.start_timeout_seconds * 1_000,
    era: input.type.era,
  };
}

/** Whether the hosts its type names are all it can reach; without a network namespace they are not held to. */
export function hasProxy({
  type,
  sandbox,
  netNamespace,
}: Pick<ChildSpecInput, 'type' | 'sandbox' | 'netNamespace'>): boolean {
  return type.egress === 'allow-list' && sandbox !== null && netNamespace;
}

function networkOf(input: ChildSpecInput): SandboxSpec['network'] {
  if (hasProxy(input)) return { proxyDir: input.egressDir };
  return input.netNamespace && input.type.egress === 'none' ? 'none' : 'host';
}

/** Values that may never reach the log. */
export function secretsOf(input: Pick<ChildSpecInput, 'apiKey'>): string[] {
  return input.apiKey === null ? [] : [input.apiKey];
}

function limitArgv({ prlimit, limits, userProcessesMax }: ChildSpecInput): string[] {
  if (prlimit === null) return [];
  return [
    prlimit,
    '--core=0:0',
    `--nofile=${limits.openFilesMax}:${limits.openFilesMax}`,
    `--fsize=${limits.diskBytesMax}:${limits.diskBytesMax}`,
    ...(userProcessesMax === null ? [] : [`--nproc=${userProcessesMax}:${userProcessesMax}`]),
    '--',
  ];
}

function environmentOf(input: ChildSpecInput, home: string): Record<string, string> {
  const { type, apiKey, limits, httpPort } = input;
  const boxed = input.sandbox !== null;
  const said = readConfig(input.config);
  const defaults = type.inputs.flatMap(({ name, default: value }) =>
    value === undefined || slotsOf(type).some((slot) => slot.name === name) ? [] : [[name, value]],
  );
  return {
    ...Object.fromEntries(defaults),
    ...mapValues(type.environment, (value) => withHome(value, home)),
    ...said.environment,
    ...(apiKey === null || type.key_variable === null ? {} : { [type.key_variable]: apiKey }),
    MCP_INSTANCE_ID: input.instanceId,
    HOME: home,
    TMPDIR: boxed ? inside.tmp : input.tmp,
    PATH: boxed ? inside.path : `${join(input.files.node, '..')}:/usr/local/bin:/usr/bin:/bin`,
    LANG: 'C.UTF-8',
    NODE_OPTIONS: `--max-old-space-size=${oldSpaceMb(limits.memoryBytesMax)}`,
    ...(httpPort === null ? {} : { HOST: '127.0.0.1', PORT: String(httpPort) }),
    ...(hasProxy(input) ? proxyEnvironment : {}),
  };
}

const proxyUrl = `http://127.0.0.1:${proxyPort}`;
const proxyEnvironment = {
  HTTP_PROXY: proxyUrl,
  HTTPS_PROXY: proxyUrl,
  NO_PROXY: 'localhost,127.0.0.1',
  NODE_USE_ENV_PROXY: '1',
};

/** The heap a server may have, so that V8 collects before the memory limit is met; the rest is for buffers and code. */
function oldSpaceMb(memoryBytesMax: number): number {
  return Math.max(Math.floor((memoryBytesMax * 0.75) / (1024 * 1024)), 32);
}

function argumentsOf(type: ServerType, config: Record<string, unknown>, home: string): string[] {
  const said = readConfig(config);
  const fixed = type.arguments.map((argument) => withHome(argument, home));
  const given = slotsOf(type).flatMap(({ name, flag }) => {
    const fallback = type.inputs.find((input) => input.name === name)?.default;
    const values = said.arguments[name] ?? (fallback === undefined ? [] : [fallback]);
    return values
      .map((value) => withHome(value, home))
      .flatMap((value) => (flag === undefined ? [value] : [flag, value]));
  });
  return [...fixed, ...given];
}

/** Where the arguments of an owner go, as the type's template says. */
function slotsOf(type: Pick<ServerType, 'config_template'>): ArgumentSlot[] {
  const slots = type.config_template.arguments;
  return Array.isArray(slots) ? (slots as ArgumentSlot[]) : [];
}

/** The configuration of an instance; the catalogue has checked it against the type before it was stored. */
function readConfig(config: Record<string, unknown>): InstanceConfig {
  const { environment, arguments: given } = config as {
    environment?: Record<string, string>;
    arguments?: Record<string, string | readonly string[]>;
  };
  return {
    environment: environment ?? {},
    arguments: mapValues(given ?? {}, (value) => (typeof value === 'string' ? [value] : value)),
  };
}

function mapValues<T, U>(record: Readonly<Record<string, T>>, fn: (value: T) => U): Record<string, U> {
  return Object.fromEntries(Object.entries(record).map(([key, value]) => [key, fn(value)]));
}

/** Puts the home in place of `${HOME}`; nothing else is replaced. */
function withHome(text: string, home: string): string {
  return text.replaceAll(/\$\{HOME\}/g, () => home);
}
