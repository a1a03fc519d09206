// Where the daemon is and with which token it is asked: MINIMCP_URL and MINIMCP_TOKEN, else the data directory.
// Refuses to send the token of this machine's data directory to a URL it was not made for.
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Fault, messageOf } from '../base/errors.ts';
import { readDaemonFile } from './daemon-file.ts';

/** As read from the environment. */
export interface CliConfig {
  readonly url?: string | undefined;
  readonly token?: string | undefined;
  readonly dataDir: string;
}

export interface Target {
  readonly url: string;
  readonly token: string;
}

/** @throws Fault daemon_unreachable, unauthorized, malformed_request */
export async function findDaemon(config: CliConfig): Promise<Target> {
  if (config.url !== undefined) {
    if (!/^https?:\/\//.test(config.url) || !URL.canParse(config.url)) {
      throw new Fault('malformed_request', `MINIMCP_URL is no http or https URL: "${config.url}"`);
    }
    if (config.token !== undefined) return { url: config.url, token: config.token };
    throw new Fault('malformed_request', 'MINIMCP_URL is set and MINIMCP_TOKEN is not: set both, or neither');
  }
  const daemon = await readDaemonFile(config.dataDir);
  if (daemon === undefined) {
    throw new Fault(
      'daemon_unreachable',
      `no daemon runs on ${config.dataDir}: there is no daemon.json in it`,
    );
  }
  return { url: daemon.url, token: config.token ?? (await readAdminToken(config.dataDir)) };
}

async function readAdminToken(dataDir: string): Promise<string> {
  const file = join(dataDir, 'admin-token');
  try {
    return (await readFile(file, 'utf8')).trim();
  } catch (error) {
    throw new Fault('unauthorized', `${file} cannot be read (${messageOf(error)}): set MINIMCP_TOKEN`);
  }
}
