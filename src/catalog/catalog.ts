// The server types there are: those shipped in mcp-servers/, and those admins add. It refuses what cannot be started,
// and never switches on what an admin has switched off. A type whose package is missing stays, and says so.
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Fault, messageOf } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import { brokenConstraint, type Db, type Queryable } from '../db/pool.ts';
import { insertEvent } from '../db/queries/events.ts';
import {
  deleteUnusedType,
  insertType,
  listTypes,
  lockTypeByName,
  type NewServerType,
  readType,
  readTypeByName,
  setTypeEra,
  setTypeScript,
  setTypeTrial,
  type TypePatch,
  updateType,
  upsertShippedType,
} from '../db/queries/types.ts';
import { type ServerType, type Trial, waitingTrial } from '../domain/server-type.ts';
import { checkConfig } from './config-check.ts';
import { type TypeWish, typeFromOutside } from './outside.ts';
import type { PackageStore } from './package-store.ts';
import { typeFromServerJson } from './server-json.ts';
import type { TryType } from './trial.ts';
import { createTrials } from './trials.ts';

/** Who does it and from where; what instances/types.ts calls an Actor fits. */
export interface CatalogActor {
  readonly userId: string | null;
  readonly ip: string | null;
  readonly userAgent: string | null;
}

export interface Catalog {
  /** Brings the shipped types to this release and puts their packages into the store, those in the background. */
  sync(): Promise<void>;
  get(name: string): Promise<ServerType | undefined>;
  getById(id: string): Promise<ServerType | undefined>;
  list(): Promise<ServerType[]>;
  /** Adds a type from a server.json and switches it on. @throws Fault invalid_field, name_taken */
  add(document: unknown, actor: CatalogActor): Promise<ServerType>;
  /**
   * Installs a type from outside and adds it switched off; its server is then started once, in the background.
   * @throws Fault invalid_field, name_taken, type_unavailable, package_tampered
   */
  addFromOutside(wish: TypeWish, actor: CatalogActor): Promise<ServerType>;
  /** Has the server of a type started once again. @throws Fault unknown_type */
  retry(name: string, actor: CatalogActor): Promise<ServerType>;
  /** Resolves when the trial of a type that is under way is over, or with the signal. */
  tried(name: string, signal: AbortSignal): Promise<void>;
  /** Removes a type of an admin that was never used. @throws Fault unknown_type, type_in_use */
  remove(name: string, actor: CatalogActor): Promise<void>;
  /** @throws Fault unknown_type */
  patch(name: string, patch: TypePatch, actor: CatalogActor): Promise<ServerType>;
  /** Whether its package is here; when not, and it can be fetched, that is begun. */
  available(type: ServerType): Promise<boolean>;
  /** @throws Fault invalid_field */
  checkConfig(type: ServerType, config: Record<string, unknown>): Record<string, unknown>;
  /** Stores the verdict on a type's era, for the version it was found with. */
  setEra(type: ServerType, era: ServerType['era']): Promise<void>;
  /** Resolves when what was begun in the background is done. */
  settled(): Promise<void>;
  /** Ends a trial that is under way; it is made up for at the next start. */
  close(): Promise<void>;
}

export interface CatalogOptions {
  readonly db: Db;
  /** The folder of shipped types. */
  readonly dir: string;
  readonly store: PackageStore;
  /** Starts a server to see what it is. */
  readonly tryType: TryType;
  readonly log: Logger;
}

export function createCatalog(options: CatalogOptions): Catalog {
  const { db, store, log } = options;
  const background = new Set<Promise<unknown>>();
  const inBackground = (type: ServerType, task: Promise<unknown>): void => {
    const guarded = task
      .catch((error: unknown) =>
        log.warn({ type: type.name, reason: messageOf(error) }, 'package not available'),
      )
      .finally(() => background.delete(guarded));
    background.add(guarded);
  };
  const prepare = async (type: ServerType): Promise<void> => {
    const { program } = await store.resolve(type);
    if (type.server_script === '') await setTypeScript(db, type.id, type.package_version, program);
  };
  const trials = createTrials({
    log,
    tryType: options.tryType,
    async keep(type, { trial, era }) {
      await setTypeTrial(db, type.id, type.package_version, trial);
      if (era !== undefined && type.era === 'unknown')
        await setTypeEra(db, type.id, type.package_version, era);
    },
  });
  const insert = (wanted: NewServerType, trial: Trial | null, actor: CatalogActor): Promise<ServerType> =>
    db.tx(async (tx) => {
      const added = await insertType(tx, wanted, trial).catch((error: unknown) =>
        Promise.reject(nameFault(error, wanted.name)),
      );
      const data = {
        mcp_type: added.name,
        package: `${added.package_name}@${added.package_version}`,
        source: added.source,
        integrity: added.integrity,
      };
      await insertEvent(tx, { ...trail(actor), type: 'type_added', data });
      return added;
    });

  return {
    async sync() {
      for (const document of await readShipped(options.dir)) {
        const type = await upsertShippedType(db, typeFromServerJson(document, 'shipped'));
        if (type === undefined) log.warn('an admin has a type under the name of a shipped one; theirs stays');
        else if (type.is_active) inBackground(type, prepare(type));
      }
      // Those whose trial a stop or a kill cut short.
      for (const type of await listTypes(db)) if (type.trial?.state === 'waiting') trials.begin(type);
    },
    get: (name) => readTypeByName(db, name),
    getById: (id) => readType(db, id),
    list: () => listTypes(db),
    async add(document, actor) {
      const type = await insert(typeFromServerJson(document, 'admin'), null, actor);
      inBackground(type, prepare(type));
      return type;
    },
    async addFromOutside(wish, actor) {
      const type = await insert(await typeFromOutside(store, wish), waitingTrial, actor);
      trials.begin(type);
      return type;
    },
    async retry(name, actor) {
      const type = await db.tx(async (tx) => {
        const found = await lockedType(tx, name);
        await setTypeTrial(tx, found.id, found.package_version, waitingTrial);
        await insertEvent(tx, { ...trail(actor), type: 'type_tried', data: { mcp_type: name } });
        return { ...found, trial: waitingTrial };
      });
      trials.begin(type);
      return type;
    },
    tried: (name, signal) => trials.over(name, signal),
    remove: (name, actor) =>
      db.tx(async (tx) => {
        const found = await lockedType(tx, name);
        if (!(await deleteUnusedType(tx, found.id))) {
          throw new Fault('type_in_use', `"${name}" is shipped, or instances were made of it`);
        }
        await insertEvent(tx, { ...trail(actor), type: 'type_removed', data: { mcp_type: name } });
      }),
    patch: (name, patch, actor) =>
      db.tx(async (tx) => {
        const before = await lockedType(tx, name);
        const after = await updateType(tx, before.id, patch);
        const changed = (Object.keys(patch) as (keyof TypePatch)[]).filter((key) => patch[key] !== undefined);
        const pick = (type: ServerType) => Object.fromEntries(changed.map((key) => [key, type[key]]));
        await insertEvent(tx, {
          ...trail(actor),
          type: 'type_changed',
          data: { mcp_type: name, before: pick(before), after: pick(after) },
        });
        return after;
      }),
    async available(type) {
      if (await store.has(type)) return true;
      if (type.origin === 'admin') inBackground(type, prepare(type));
      return false;
    },
    checkConfig,
    async setEra(type, era) {
      await setTypeEra(db, type.id, type.package_version, era);
    },
    async settled() {
      await Promise.all([...background, trials.idle()]);
    },
    close: () => trials.close(),
  };
}

async function lockedType(tx: Queryable, name: string): Promise<ServerType> {
  const type = await lockTypeByName(tx, name);
  if (type === undefined) throw new Fault('unknown_type', `there is no server type "${name}"`);
  return type;
}

function trail(actor: CatalogActor) {
  return { instanceId: null, userId: null, actorId: actor.userId, ip: actor.ip, userAgent: actor.userAgent };
}

function nameFault(error: unknown, name: string): unknown {
  if (brokenConstraint(error) !== 'mcp_types_name_key') return error;
  return new Fault('name_taken', `there is a server type "${name}" already; give this one another name`, {
    errors: [{ pointer: '/_meta/dev.minimcp~1type/name', message: 'a name no other type has' }],
    cause: error,
  });
}

async function readShipped(dir: string): Promise<unknown[]> {
  const entries = await readdir(dir, { withFileTypes: true });
  const folders = entries.filter((entry) => entry.isDirectory()).map(({ name }) => name);
  const texts = await Promise.all(
    folders.sort().map((folder) => readFile(join(dir, folder, 'server.json'), 'utf8').catch(() => undefined)),
  );
  return texts.flatMap((text) => (text === undefined ? [] : [JSON.parse(text)]));
}
