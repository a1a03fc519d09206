// What a first start makes, once: the pool of ports, the admin and the file with the admin's token, and the file by
// which the command line finds a running daemon. Each is safe to repeat.
import { chmod, mkdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Accounts } from '../accounts/accounts.ts';
import type { Settings } from '../accounts/settings.ts';
import { replaceFile } from '../base/durable.ts';
import type { Logger } from '../base/log.ts';
import { newToken } from '../base/tokens.ts';
import type { Db } from '../db/pool.ts';
import { hasPools, seedPorts } from '../db/queries/ports.ts';
import { writeSetting } from '../db/queries/settings.ts';
import type { ProcessIdentity } from '../runtime/process-identity.ts';
import type { Config } from './config.ts';

/** Makes the data directory: root's may be passed through by the users it lends its processes, nobody else's. */
export async function makeDataDir(dataDir: string): Promise<void> {
  const mode = process.getuid?.() === 0 ? 0o711 : 0o700;
  const made = await mkdir(dataDir, { recursive: true, mode });
  // mkdir is cut by the umask; a directory somebody else made is left as it is.
  if (made !== undefined) await chmod(dataDir, mode);
}

/** Gives this node its ports. MINIMCP_PORT_RANGE counts only while there is no pool at all; settings count after. */
export async function seedPool(db: Db, settings: Settings, config: Config): Promise<void> {
  await db.tx(async (tx) => {
    if (await hasPools(tx)) return;
    await writeSetting(tx, 'port.range_start', config.portRange.from);
    await writeSetting(tx, 'port.range_end', config.portRange.to);
  });
  const [from, to] = await Promise.all([settings.get('port.range_start'), settings.get('port.range_end')]);
  await seedPorts(db, config.nodeId, from, to);
}

/**
 * Makes sure that there is an admin whose token is in <data>/admin-token (0600).
 * @returns the token; undefined where it is not kept and there are users
 * @throws Fault config_invalid when MINIMCP_ADMIN_TOKEN cannot be one
 */
export async function seedAdmin(
  accounts: Accounts,
  config: Config,
  log: Logger,
): Promise<string | undefined> {
  const file = join(config.dataDir, 'admin-token');
  const kept = await readFile(file, 'utf8').then(
    (text) => text.trim(),
    () => undefined,
  );
  if (config.adminToken === undefined && kept === undefined && (await accounts.hasUsers())) return undefined;
  const token = config.adminToken ?? kept ?? newToken('mmt_');
  // Written before it is valid: a token nobody knows would be of no use.
  if (token !== kept) await replaceFile(file, `${token}\n`, 0o600);
  const outcome = await accounts.bootstrapAdmin(token);
  if (outcome === 'known') return token;
  log.info({ file }, 'the admin token is in this file');
  // Once, and past the log, which keeps no tokens: to the person in front of the terminal.
  if (config.adminToken === undefined && config.pretty) process.stdout.write(`\n  admin token: ${token}\n\n`);
  return token;
}

const daemonFile = (dataDir: string): string => join(dataDir, 'daemon.json');

/** Writes where the daemon is and the proof of who it is. */
export async function announceDaemon(
  config: Config,
  daemon: { readonly url: string; readonly identity: ProcessIdentity; readonly version: string },
): Promise<void> {
  const { url, identity, version } = daemon;
  const document = {
    url,
    pid: identity.pid,
    start_ticks: identity.startTicks,
    boot_id: identity.bootId,
    version,
  };
  await replaceFile(daemonFile(config.dataDir), `${JSON.stringify(document)}\n`, 0o600);
}

export async function withdrawDaemon(config: Config): Promise<void> {
  await rm(daemonFile(config.dataDir), { force: true });
}
