// The only reader of the environment (beside the shim's bootstrap). Every fault is reported at once, each with its fix.
// Defaults are those of config/minimcp.env.
import { homedir, hostname } from 'node:os';
import { isAbsolute, join, resolve } from 'node:path';
import { z } from 'zod';
import { Fault, type FieldError } from '../base/errors.ts';

export interface Config {
  readonly dataDir: string;
  /** Undefined: the embedded PostgreSQL. */
  readonly databaseUrl: string | undefined;
  readonly host: string;
  /** 0: any free port; daemon.json says which. */
  readonly port: number;
  readonly instanceHost: string;
  readonly publicUrl: string | undefined;
  readonly portRange: { readonly from: number; readonly to: number };
  readonly adminToken: string | undefined;
  readonly masterKeysFile: string;
  readonly nodeId: string;
  /** What npm is told when it fetches packages of types: its registry, and the way out of a company's network. */
  readonly npmEnv: Readonly<Record<string, string>>;
  readonly logLevel: string;
  readonly pretty: boolean;
}

type Env = Readonly<Record<string, string | undefined>>;

const port = (min: number) => z.coerce.number().int().min(min).max(65_535);
const range = z
  .string()
  .regex(/^\d{1,5}-\d{1,5}$/, 'two ports joined by a hyphen, for example 3001-3100')
  .transform((text) => {
    const [from = 0, to = 0] = text.split('-').map(Number);
    return { from, to };
  })
  .refine(
    ({ from, to }) => from >= 3001 && to <= 65_535 && from <= to,
    'ports from 3001 to 65535, the lower first',
  );

const schema = z.object({
  MINIMCP_DATA_DIR: z.string().refine(isAbsolute, 'an absolute path').optional(),
  DATABASE_URL: z
    .string()
    .regex(/^postgres(ql)?:\/\//, 'a URL that begins with postgres:// or postgresql://')
    .optional(),
  MINIMCP_HOST: z.string().default('127.0.0.1'),
  MINIMCP_PORT: port(0).default(3000),
  MINIMCP_INSTANCE_HOST: z.string().default('127.0.0.1'),
  MINIMCP_PUBLIC_URL: z.url({ protocol: /^https?$/, error: 'an http or https URL' }).optional(),
  MINIMCP_PORT_RANGE: range.default({ from: 3001, to: 3100 }),
  MINIMCP_ADMIN_TOKEN: z
    .string()
    .regex(
      /^(?!mcp_)[\x21-\x7e]{16,512}$/,
      '16 to 512 visible ASCII characters, not beginning with "mcp_"; leave it unset to have one made',
    )
    .optional(),
  MINIMCP_MASTER_KEYS_FILE: z.string().refine(isAbsolute, 'an absolute path').optional(),
  MINIMCP_NODE_ID: z
    .string()
    .regex(/^[\w.-]{1,100}$/, 'letters, digits, "_", "." and "-", at most 100')
    .optional(),
  MINIMCP_NPM_REGISTRY: z.url({ protocol: /^https?$/, error: 'an http or https URL' }).optional(),
  MINIMCP_LOG_LEVEL: z.enum(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent']).default('info'),
});

/** Reads the daemon's configuration. @throws Fault config_invalid with one entry per fault */
export function readConfig(env: Env, isTerminal: boolean): Config {
  // An empty variable is an unset one, as in every other tool.
  const given = Object.fromEntries(
    Object.entries(env).filter(([, value]) => value !== undefined && value !== ''),
  );
  const parsed = schema.safeParse(given);
  if (!parsed.success) throw invalid(parsed.error);
  const values = parsed.data;
  const dataDir = values.MINIMCP_DATA_DIR ?? defaultDataDir(given);
  return {
    dataDir,
    databaseUrl: values.DATABASE_URL,
    host: values.MINIMCP_HOST,
    port: values.MINIMCP_PORT,
    instanceHost: values.MINIMCP_INSTANCE_HOST,
    publicUrl: values.MINIMCP_PUBLIC_URL?.replace(/\/+$/, ''),
    portRange: values.MINIMCP_PORT_RANGE,
    adminToken: values.MINIMCP_ADMIN_TOKEN,
    masterKeysFile: values.MINIMCP_MASTER_KEYS_FILE ?? join(dataDir, 'master-keys.json'),
    nodeId:
      values.MINIMCP_NODE_ID ??
      hostname()
        .replace(/[^\w.-]/g, '_')
        .slice(0, 100),
    npmEnv: npmEnvOf(given, values.MINIMCP_NPM_REGISTRY),
    logLevel: values.MINIMCP_LOG_LEVEL,
    pretty: isTerminal,
  };
}

/** As every program on the machine reads them. */
const networkVariables = ['NODE_EXTRA_CA_CERTS', 'HTTPS_PROXY', 'HTTP_PROXY', 'NO_PROXY'].flatMap((name) => [
  name,
  name.toLowerCase(),
]);

function npmEnvOf(env: Env, registry: string | undefined): Record<string, string> {
  const network = networkVariables.flatMap((name) => {
    const value = env[name];
    return value === undefined ? [] : [[name, value]];
  });
  return {
    ...Object.fromEntries(network),
    ...(registry === undefined ? {} : { npm_config_registry: registry }),
  };
}

export interface CliConfig {
  readonly url: string | undefined;
  readonly token: string | undefined;
  readonly dataDir: string;
}

/** What the command line needs to find a daemon: MINIMCP_URL and MINIMCP_TOKEN, else the data directory. */
export function readCliConfig(env: Env): CliConfig {
  return {
    url: env.MINIMCP_URL || undefined,
    token: env.MINIMCP_TOKEN || undefined,
    dataDir: env.MINIMCP_DATA_DIR ? resolve(env.MINIMCP_DATA_DIR) : defaultDataDir(env),
  };
}

function defaultDataDir(env: Env): string {
  if (process.getuid?.() === 0) return '/var/lib/minimcp';
  const base =
    env.XDG_DATA_HOME && isAbsolute(env.XDG_DATA_HOME)
      ? env.XDG_DATA_HOME
      : join(homedir(), '.local', 'share');
  return join(base, 'minimcp');
}

function invalid(error: z.ZodError): Fault {
  const errors: FieldError[] = error.issues.map((issue) => ({
    pointer: `/${issue.path.join('/')}`,
    message: issue.message,
  }));
  const lines = errors.map(({ pointer, message }) => `  ${pointer.slice(1)}: ${message}`);
  return new Fault(
    'config_invalid',
    `the configuration is wrong; what would be right:\n${lines.join('\n')}`,
    { errors },
  );
}
