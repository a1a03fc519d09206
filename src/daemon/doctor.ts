// `minimcp doctor`: looks at everything the supervisor needs from this machine and says how to mend what is wrong.
// Changes nothing, starts nothing that stays; a check that itself fails is a failed check, never the end of the others.
import { Fault, messageOf } from '../base/errors.ts';
import { type Config, readConfig } from './config.ts';
import type { Check } from './doctor-check.ts';
import { checkDatabase } from './doctor-database.ts';
import { checkDataDir, checkSecretFiles } from './doctor-files.ts';
import { checkIsolation } from './doctor-isolation.ts';
import { checkApiPort, checkPoolPorts } from './doctor-ports.ts';
import { checkShims } from './doctor-shims.ts';

const nodeMin = [24, 7] as const;

/** Every check, in the order in which they are to be mended. */
export async function examine(env: Readonly<Record<string, string | undefined>>): Promise<Check[]> {
  const checks = [checkNode(), checkPlatform()];
  const config = readOrReport(env);
  if ('state' in config) return [...checks, config];
  checks.push({ name: 'configuration', state: 'ok', detail: `node ${config.nodeId}`, remedy: null });
  const rest: readonly [string, () => Promise<Check | readonly Check[]>][] = [
    ['data directory', () => checkDataDir(config.dataDir)],
    ['secret files', () => checkSecretFiles(config)],
    ['database', () => checkDatabase(config)],
    ['API port', () => checkApiPort(config)],
    ['pool of ports', () => checkPoolPorts(config)],
    ['isolation', () => checkIsolation(config.dataDir)],
    ['shims', () => checkShims(config.dataDir)],
  ];
  const found = await Promise.all(rest.map(([name, check]) => check().catch((error) => broken(name, error))));
  return [...checks, ...found.flat()];
}

function broken(name: string, error: unknown): Check {
  return { name, state: 'fail', detail: messageOf(error), remedy: 'The check itself failed: see above.' };
}

function checkNode(): Check {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
  const good = major > nodeMin[0] || (major === nodeMin[0] && minor >= nodeMin[1]);
  return {
    name: 'Node',
    state: good ? 'ok' : 'fail',
    detail: `${process.version} at ${process.execPath}`,
    remedy: good ? null : `Node ${nodeMin.join('.')} or later is needed; "npm ci" brings it along on Linux.`,
  };
}

function checkPlatform(): Check {
  const name = 'platform';
  const detail = `${process.platform} ${process.arch}${process.getuid?.() === 0 ? ', as root' : ''}`;
  if (process.platform === 'linux') return { name, state: 'ok', detail, remedy: null };
  const remedy = 'Linux is the platform; macOS is for development, without isolation between instances.';
  return { name, state: process.platform === 'darwin' ? 'warn' : 'fail', detail, remedy };
}

function readOrReport(env: Readonly<Record<string, string | undefined>>): Config | Check {
  try {
    return readConfig(env, false);
  } catch (error) {
    if (!(error instanceof Fault)) throw error;
    const remedy = error.errors.map((field) => `${field.pointer.slice(1)}: ${field.message}`).join('\n');
    return { name: 'configuration', state: 'fail', detail: error.title, remedy };
  }
}
