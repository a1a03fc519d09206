// The cluster's files: made once by initdb, who may connect (only the supervisor's own operating-system user, over the
// socket), and the settings it is always started with. A cluster of another major version is refused.
import { execFile } from 'node:child_process';
import { chown, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { settleDraft } from '../base/durable.ts';
import { Fault, messageOf } from '../base/errors.ts';
import { newDraft } from './embedded-drafts.ts';
import type { Owner } from './embedded-owner.ts';
import type { PostgresStore } from './embedded-store.ts';

const run = promisify(execFile);

/** The role and the database of the embedded cluster. */
export const embeddedName = 'minimcp';

export interface ClusterPlan {
  readonly store: PostgresStore;
  readonly owner: Owner;
  /** The cluster's own directory. */
  readonly pgData: string;
  /** Parent of it, in the owner's hands. */
  readonly home: string;
}

/** Makes the cluster if there is none. @returns whether it was made now */
export async function ensureCluster(plan: ClusterPlan): Promise<boolean> {
  const version = await readFile(join(plan.pgData, 'PG_VERSION'), 'utf8').catch(() => undefined);
  if (version === undefined) await initialise(plan);
  else if (Number(version) !== plan.store.major) {
    throw new Fault(
      'config_invalid',
      `${plan.pgData} was made by PostgreSQL ${version.trim()}, and this MiniMCP brings ${plan.store.major}; ` +
        'dump it with the old version and load it with the new one, or set MINIMCP_DATA_DIR to an empty directory',
    );
  }
  await writeAccess(plan);
  return version === undefined;
}

async function initialise(plan: ClusterPlan): Promise<void> {
  const draft = await newDraft(plan.pgData);
  const args = [
    ...['-D', draft, '-U', embeddedName, '-A', 'reject', '-E', 'UTF8', '--no-instructions'],
    // It goes to the disk as a whole, when it is finished and before it has its name.
    '--no-sync',
    // The built-in provider sorts alike everywhere, whatever locales the machine has.
    ...['--locale=C', '--locale-provider=builtin', '--builtin-locale=C.UTF-8'],
  ];
  const as = plan.owner.foreign ? { uid: plan.owner.uid, gid: plan.owner.gid } : {};
  const env = { PATH: '/usr/bin:/bin', LANG: 'C', TZ: 'UTC' };
  try {
    await run(plan.store.initdb, args, { ...as, env, cwd: plan.home });
  } catch (error) {
    await rm(draft, { recursive: true, force: true });
    const said = (error as { stderr?: string }).stderr?.trim() || messageOf(error);
    const detail = `the embedded database could not be made in ${plan.home}: ${said}`;
    throw new Fault('config_invalid', detail, { cause: error });
  }
  await settleDraft(draft, plan.pgData);
}

/**
 * Lets in two operating-system users, over the socket, as the one role: the database's own and ours. The socket's
 * directory already keeps everybody else out; this holds should its mode ever be loosened.
 */
async function writeAccess(plan: ClusterPlan): Promise<void> {
  const { stdout } = await run('id', ['-un']);
  const users = [...new Set([stdout.trim(), plan.owner.name])];
  const files = {
    'pg_hba.conf': 'local all all peer map=minimcp\n',
    'pg_ident.conf': users.map((user) => `minimcp "${user}" ${embeddedName}\n`).join(''),
  };
  for (const [name, text] of Object.entries(files)) {
    const path = join(plan.pgData, name);
    if ((await readFile(path, 'utf8').catch(() => '')) === text) continue;
    await writeFile(path, text, { mode: 0o600 });
    if (plan.owner.foreign) await chown(path, plan.owner.uid, plan.owner.gid);
  }
}

/** What the server is started with: small, durable, silent, deaf to the network. */
export function serverSettings(socketDir: string, overrides: Readonly<Record<string, string>>): string[] {
  const settings: Record<string, string> = {
    listen_addresses: '',
    unix_socket_directories: socketDir,
    unix_socket_permissions: '0700',
    port: '5432',
    max_connections: '60',
    shared_buffers: '64MB',
    work_mem: '4MB',
    maintenance_work_mem: '32MB',
    max_wal_size: '512MB',
    // In-process reads: the default keeps three worker processes that a small machine does not need.
    io_method: 'sync',
    max_worker_processes: '2',
    max_parallel_workers_per_gather: '0',
    autovacuum_max_workers: '2',
    max_logical_replication_workers: '0',
    jit: 'off',
    huge_pages: 'off',
    timezone: 'UTC',
    log_timezone: 'UTC',
    log_min_messages: 'warning',
    log_checkpoints: 'off',
    // Statements carry sealed keys and token hashes: none of them in a log.
    log_min_error_statement: 'panic',
    cluster_name: embeddedName,
    ...overrides,
  };
  return Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
}
