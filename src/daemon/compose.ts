// The only file that knows every room: it opens them in order, hands each what it needs, and closes them in reverse. No
// decision is taken here.
import { availableParallelism, hostname, totalmem } from 'node:os';
import { join } from 'node:path';
import { Registry } from 'prom-client';
import { createAccounts } from '../accounts/accounts.ts';
import { createSettings } from '../accounts/settings.ts';
import type { Health } from '../api/context.ts';
import { type Api, createApi } from '../api/server.ts';
import { loginUrl } from '../api/session.ts';
import { nowMs } from '../base/clock.ts';
import { Fault, messageOf } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import { type Service, startAll, stopAll } from '../base/service.ts';
import { createCatalog } from '../catalog/catalog.ts';
import { createLedger } from '../catalog/ledger.ts';
import { createPackageStore } from '../catalog/package-store.ts';
import { createTrial } from '../catalog/trial.ts';
import { createListener } from '../db/listen.ts';
import { type Db, isReachable } from '../db/pool.ts';
import { readApiKey } from '../db/queries/api-keys.ts';
import { readInstance } from '../db/queries/instances.ts';
import { readStoredToday } from '../db/queries/log-offsets.ts';
import { logChannel } from '../db/queries/logs.ts';
import { setNodeState } from '../db/queries/nodes.ts';
import { thinUsage } from '../db/queries/usage.ts';
import { limitsOf } from '../domain/limits.ts';
import type { Era } from '../domain/server-type.ts';
import { createAdmission } from '../instances/admission.ts';
import { createApply } from '../instances/apply.ts';
import { createChanges } from '../instances/changes.ts';
import { endEverything, expireOne, expireOverdue, retireOld, warnOwners } from '../instances/clock-events.ts';
import { createEffects } from '../instances/effects.ts';
import { createFigures } from '../instances/figures.ts';
import { sweepHealth } from '../instances/health.ts';
import { createManager } from '../instances/manager.ts';
import { createNewsListener } from '../instances/news.ts';
import { reconcile } from '../instances/recover.ts';
import { createSleepers } from '../instances/sleepers.ts';
import { defineJobs, expireJob } from '../jobs/handlers.ts';
import { createJobQueue } from '../jobs/queue.ts';
import { createSchedule } from '../jobs/schedule.ts';
import { createIngest } from '../logs/ingest.ts';
import { createNodeSpool } from '../logs/node-spool.ts';
import { dropOldPartitions, ensurePartitionsAhead } from '../logs/partitions.ts';
import { createLogTail } from '../logs/tail.ts';
import { createAllocator } from '../ports/allocator.ts';
import { removeGeneration } from '../runtime/bundle.ts';
import { missingRungs } from '../runtime/ladder.ts';
import { createLocalDriver } from '../runtime/local.ts';
import { identify } from '../runtime/process-identity.ts';
import { bundleShim, shimNodeFlags } from '../runtime/shim-bundle.ts';
import { openStore } from '../runtime/store.ts';
import { openKeyring } from '../secrets/keyring.ts';
import { createVault } from '../secrets/vault.ts';
import type { Config } from './config.ts';
import { type Database, openDatabase } from './database.ts';
import { announceDaemon, makeDataDir, seedAdmin, seedPool, withdrawDaemon } from './first-start.ts';
import { createNode, type Node } from './node.ts';
import { readVersion } from './version.ts';

export interface ComposeOptions {
  readonly config: Config;
  readonly log: Logger;
  /** Another supervisor has this node. */
  readonly onFenced: () => void;
  /** Ends the daemon as a signal would. */
  readonly requestStop: () => void;
}

export interface House {
  /** Resolves when recovery is done and the API answers. */
  start(): Promise<void>;
  stop(): Promise<void>;
  /** Where the API listens, once started. */
  url(): string;
  /** A link that logs the first admin in to the dashboard, once; undefined where their token is not kept or not good. */
  loginLink(): Promise<string | undefined>;
}

/** Starts that may wait for their turn on this node; past it, requests are refused. */
const startsWaitingMax = 200;
/** How long a child gets to leave at each step of its end, milliseconds. */
const graceMs = 3_000;
/** Longest a request waits for its instance to wake, milliseconds. */
const wakeMsMax = 60_000;

/** Opens the database, takes the node and composes everything on them. Nothing is served before start. */
export async function compose(options: ComposeOptions): Promise<House> {
  const { config, log, onFenced } = options;
  await makeDataDir(config.dataDir);
  const database = await openDatabase(config, log);
  const version = readVersion();
  const capacity = { cores: availableParallelism(), memory_bytes: totalmem() };
  const node = createNode({ db: database.db, nodeId: config.nodeId, version, capacity, log, onFenced });
  try {
    await node.start();
    return await furnish(options, { database, node, version });
  } catch (error) {
    await stopAll([database, node], log);
    throw error;
  }
}

/** What stands before anything else can. */
interface Ground {
  readonly database: Database;
  readonly node: Node;
  readonly version: string;
}

async function furnish(
  { config, log, requestStop }: ComposeOptions,
  { database, node, version }: Ground,
): Promise<House> {
  const { db, connection } = database;
  const { nodeId, dataDir } = config;
  const { fence } = node;
  const settings = createSettings(db);
  await seedPool(db, settings, config);
  await ensurePartitionsAhead({ db, log });

  const keyring = await openKeyring({ db, file: config.masterKeysFile, log });
  const vault = createVault({ db, keyring });
  const packages = createPackageStore({ dataDir, log, ledger: createLedger(db), npmEnv: config.npmEnv });
  const registry = new Registry();
  const figures = createFigures(registry);
  const programs = {
    ...{ dataDir, packages, log, shimNodeFlags },
    shimFile: await bundleShim(join(await openStore(dataDir), 'shims')),
  };
  const localDriver = await createLocalDriver({
    ...programs,
    instanceHost: config.instanceHost,
    origins: [],
    epoch: () => fence().epoch,
  });
  const driver = figures.watchDriver(localDriver);
  const isolation = await driver.probe();
  const catalog = createCatalog({
    db,
    dir: join(import.meta.dirname, '../../mcp-servers'),
    store: packages,
    tryType: createTrial(programs),
    log,
  });
  await catalog.sync();

  const isEnded = async (instanceId: string, generation: number): Promise<boolean> => {
    const handle = await driver.find(instanceId, generation);
    return handle === undefined || (await driver.inspect(handle)).state === 'ended';
  };
  const ingest = createIngest({
    ...{ db, dataDir, nodeId, fence, log, isEnded },
    removeGeneration: (instanceId, generation) => removeGeneration(dataDir, { instanceId, generation }),
  });
  const spool = createNodeSpool(dataDir, { onWritten: () => ingest.pokeNode() });
  const say = spool.say.bind(spool);

  const urlOf = (port: number): string => `http://${hostInUrl(config.instanceHost)}:${port}/mcp`;
  const range = async () => ({
    from: await settings.get('port.range_start'),
    to: await settings.get('port.range_end'),
  });
  const allocator = createAllocator({ db, nodeId, host: config.instanceHost, range });
  const maxInstancesPerUser = (): Promise<number> => settings.get('mcp.max_instances_per_user');
  const apply = figures.watchApply(createApply({ db, fence, allocator, urlOf, maxInstancesPerUser }));
  const changes = createChanges();
  const admission = createAdmission(availableParallelism(), startsWaitingMax);
  figures.watchAdmission(admission);
  const queue = createJobQueue({ connection, nodeId, log });
  const { ownUsers } = await driver.probe();
  const sleepers = createSleepers({
    ...{ host: config.instanceHost, log, shares: ownUsers },
    wake: async (id) => {
      // It may be on its way still: to its sleep, or to its next generation.
      let { status } = await manager.settled(id, wakeMsMax);
      if (status !== 'running') {
        effects.follow(await apply(id, { event: 'restore' }));
        ({ status } = await manager.settled(id, wakeMsMax));
      }
      if (status !== 'running') throw new Error(`it is ${status}`);
    },
  });
  // An absence too short for a renewal to notice may still have cost an effect: it is made up for at the next renewal.
  const onFailed = (error: unknown): void => {
    if (error instanceof Fault && error.code === 'database_unavailable') node.wasAway();
  };
  const effects = createEffects({
    ...{ db, fence, apply, driver, changes, admission, sleepers, log, say, graceMs, onFailed },
    typeById: (id) => catalog.getById(id),
    openKey: (userId, typeId) => vault.open(userId, typeId),
    limitsOf: async (type) =>
      limitsOf(type.resource_limits, {
        memoryMbMax: await settings.get('process.max_memory_mb'),
        cpuPercentMax: await settings.get('process.max_cpu_percent'),
      }),
    logBudget: async (id) => ({
      bytesPerDay: (await settings.get('logs.max_mb_per_day')) * 1024 * 1024,
      usedBytes: await readStoredToday(db, id),
    }),
    minIsolation: () => settings.get('mcp.min_isolation'),
    drainMs: async () => (await settings.get('mcp.drain_seconds')) * 1_000,
    publicHosts: config.publicUrl === undefined ? [] : [new URL(config.publicUrl).host],
    onLease: (row) => void queue.send(expireJob, { id: row.id }, { startAfter: row.expires_at }),
  });
  const manager = createManager({
    ...{ db, fence, nodeId, apply, effects, changes, allocator, urlOf, catalog },
    settings: {
      defaultMinutes: () => settings.get('mcp.default_duration_minutes'),
      maxInstancesPerUser,
      maxLeaseMinutes: () => settings.get('mcp.max_lease_minutes'),
      maxCreationsPerHour: () => settings.get('mcp.max_creations_per_hour'),
    },
    findKey: async (userId, typeId) => (await readApiKey(db, userId, typeId))?.id ?? null,
    queuePosition: admission.position,
    admit: () => {
      node.admit();
      admission.check();
    },
  });
  const accounts = createAccounts({ db, log, manager });
  const adminToken = await seedAdmin(accounts, config, log);

  const clock = {
    ...{ db, fence, nodeId, apply, effects, log, say },
    warnMinutes: () => settings.get('mcp.warn_before_minutes'),
    retentionDays: () => settings.get('cleanup.retention_days'),
  };
  const recovery = { db, fence, nodeId, driver, apply, effects, log, onFailed, listens: sleepers.has };
  // What happened while the database was away is settled at its return, not at the next tick.
  node.onBack(() => {
    log.info('the database answers again');
    Promise.all([reconcile(recovery), expireOverdue(clock)]).catch((error: unknown) => {
      log.warn({ reason: messageOf(error) }, 'not everything could be settled; the next pass tries again');
      onFailed(error);
    });
  });
  defineJobs(queue, {
    expireOne: (id) => expireOne(clock, id),
    expireOverdue: () => expireOverdue(clock),
    warnOwners: () => warnOwners(clock),
    sweepHealth: () =>
      sweepHealth({
        db,
        fence,
        nodeId,
        driver,
        onEnded: effects.ended,
        onIdle: (id) => void apply(id, { event: 'stop', reason: 'idle' }).then(effects.follow, () => {}),
        nowIso: () => new Date(nowMs()).toISOString(),
      }),
    reconcile: () => reconcile(recovery),
    housekeeping: async () => {
      await ensurePartitionsAhead({ db, log });
      await dropOldPartitions({ db, log }, await settings.get('cleanup.retention_days'));
      await retireOld(clock);
      await thinUsage(db, await settings.get('cleanup.retention_days'));
      await accounts.sweep();
    },
  });

  const onError = (error: Error): void =>
    log.debug({ reason: error.message }, 'a listener lost its connection to the database');
  const changeFeed = createListener({ connection, channel: 'minimcp_changes', onError });
  const logFeed = createListener({ connection, channel: logChannel, onError });
  const api = await createApi({
    ...{ db, manager, accounts, settings, vault, keyring, catalog, log, registry },
    logFigures: ingest.lag,
    logs: createLogTail({ db, feed: logFeed }),
    changes: changeFeed,
    health: () => healthOf({ db, node }, ingest.lag().problem, keyring.problem()),
    inside: () => ({
      isolation: {
        level: isolation.isolation,
        missing: missingRungs({ ...isolation, level: isolation.isolation }),
      },
      admission: { running: admission.running, waiting: admission.waiting },
      logProblem: ingest.lag().problem,
      keyProblem: keyring.problem(),
    }),
    requestDrain: async ({ endInstances }) => {
      node.drain();
      await setNodeState(db, nodeId, 'draining');
      if (endInstances) void endEverything({ db, nodeId, apply, effects, log }).then(requestStop);
    },
    node: { id: nodeId, version },
    pageDir: join(import.meta.dirname, '../../dist/dashboard'),
    publicUrl: config.publicUrl,
  });

  const storeEra = async (id: string, era: Era): Promise<void> => {
    const type = await readInstance(db, id).then((found) => found && catalog.getById(found.row.mcp_type_id));
    if (type?.era !== 'unknown') return;
    await catalog.setEra(type, era);
    log.info({ type: type.name, version: type.package_version, era }, 'found what a server speaks');
  };
  const watching = new AbortController();
  const recovering: Service = {
    name: 'recovery',
    async start() {
      driver.watch(
        createNewsListener({
          apply,
          effects,
          log,
          onFailed,
          spooled: (id, generation) => ingest.poke(id, generation),
          eraFound: (id, era) =>
            void storeEra(id, era).catch((error: unknown) =>
              log.warn({ err: error }, 'an era was not stored'),
            ),
        }),
        watching.signal,
      );
      const found = await reconcile(recovery);
      log.info({ ...found }, 'recovered');
    },
    async stop() {
      watching.abort();
      await effects.stop();
      sleepers.stop();
      await driver.close();
    },
  };
  const door = serving(api, config, version);
  const services: readonly Service[] = [
    ingest,
    { name: 'node spool', start: async () => {}, stop: async () => spool.close() },
    recovering,
    { name: 'trials of types', start: async () => {}, stop: () => catalog.close() },
    queue,
    createSchedule(queue),
    changeFeed,
    logFeed,
    door,
  ];
  return {
    start: () => startAll(services, log),
    stop: () => stopAll([database, node, ...services], log),
    url: door.url,
    loginLink: async () => {
      if (adminToken === undefined) return undefined;
      const nowhere = { ip: null, userAgent: null };
      const caller = await accounts.authenticate(`Bearer ${adminToken}`, nowhere).catch(() => undefined);
      return caller && loginUrl(api.baseUrl(), (await accounts.createLoginCode(caller, nowhere)).code);
    },
  };
}

/** The API's door: listens last, and says where in a file that the command line finds. */
function serving(api: Api, config: Config, version: string): Service & { url(): string } {
  let url = '';
  return {
    name: 'api',
    url: () => url,
    async start() {
      url = await api.listen({ host: config.host, port: config.port });
      const identity = identify(process.pid);
      if (identity === undefined) throw new Error('this process cannot read its own identity');
      await announceDaemon(config, { url, identity, version });
    },
    async stop() {
      await withdrawDaemon(config);
      await api.close();
    },
  };
}

/** Whether new work can be done, and each check behind that. */
async function healthOf(
  { db, node }: { readonly db: Db; readonly node: Node },
  logProblem: string | null,
  keyProblem: string | null,
): Promise<Health> {
  const reachable = await isReachable(db);
  const renewed = node.isFresh() ? 'ok' : 'the lease of this node has not been renewed yet';
  const checks = {
    database: reachable ? renewed : 'the database does not answer',
    keys: keyProblem ?? 'ok',
    logs: logProblem ?? 'ok',
  };
  // Logs wait on disk and keys matter to a few types: only the database keeps everything new from happening.
  return { ready: checks.database === 'ok', checks };
}

function hostInUrl(host: string): string {
  if (host === '0.0.0.0' || host === '::') return hostname();
  return host.includes(':') ? `[${host}]` : host;
}
