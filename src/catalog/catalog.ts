// The server types there are: those shipped in mcp-servers/, and those admins add. It refuses what cannot be started,
// and never switches on what an admin has switched off. A type whose package is missing stays, and says so.
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Fault, messageOf } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import { brokenConstraint, type Db } from '../db/pool.ts';
import { insertEvent } from '../db/queries/events.ts';
import {
  insertType,
  listTypes,
  lockTypeByName,
  readType,
  readTypeByName,
  setTypeEra,
  setTypeScript,
  type TypePatch,
  updateType,
  upsertShippedType,
} from '../db/queries/types.ts';
import type { ServerType } from '../domain/server-type.ts';
import { checkConfig } from './config-check.ts';
import type { PackageStore } from './package-store.ts';
import { typeFromServerJson } from './server-json.ts';

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
  /** Adds a type from a server.json. @throws Fault invalid_field, name_taken */
  add(document: unknown, actor: CatalogActor): Promise<ServerType>;
  /** @throws Fault unknown_type */
  patch(name: string, patch: TypePatch, actor: CatalogActor): Promise<ServerType>;
  /** Whether its package is here; when not, and it can be fetched, that is begun. */
  available(type: ServerType): Promise<boolean>;
  /** @throws Fault invalid_field */
  checkConfig(type: ServerType, config: Record<string, unknown>): void;
  /** Stores the verdict on a type's era, for the version it was found with. */
  setEra(type: ServerType, era: ServerType['era']): Promise<void>;
  /** Resolves when what was begun in the background is done. */
  settled(): Promise<void>;
}

export interface CatalogOptions {
  readonly db: Db;
  /** The folder of shipped types. */
  readonly dir: string;
  readonly store: PackageStore;
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

  return {
    async sync() {
      for (const document of await readShipped(options.dir)) {
        const type = await upsertShippedType(db, typeFromServerJson(document, 'shipped'));
        if (type === undefined) log.warn('an admin has a type under the name of a shipped one; theirs stays');
        else if (type.is_active) inBackground(type, prepare(type));
      }
    },
    get: (name) => readTypeByName(db, name),
    getById: (id) => readType(db, id),
    list: () => listTypes(db),
    async add(document, actor) {
      const wanted = typeFromServerJson(document, 'admin');
      const type = await db.tx(async (tx) => {
        const added = await insertType(tx, wanted).catch((error: unknown) =>
          Promise.reject(nameFault(error, wanted.name)),
        );
        await insertEvent(tx, {
          ...trail(actor),
          type: 'type_added',
          data: { mcp_type: added.name, package: `${added.package_name}@${added.package_version}` },
        });
        return added;
      });
      inBackground(type, prepare(type));
      return type;
    },
    patch: (name, patch, actor) =>
      db.tx(async (tx) => {
        const before = await lockTypeByName(tx, name);
        if (before === undefined) throw new Fault('unknown_type', `there is no server type "${name}"`);
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
      await Promise.all(background);
    },
  };
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
