// What the parts of the local driver share: its options, what was found on this machine, and who is there.
import type { Logger } from '../base/log.ts';
import type { IsolationLevel } from '../domain/instance.ts';
import type { ServerType } from '../domain/server-type.ts';
import type { CompileCaches } from './compile-cache.ts';
import type { Handle } from './driver.ts';
import type { Isolation } from './ladder.ts';
import type { Links } from './links.ts';
import type { BundleRecord } from './messages.ts';
import type { RuntimeFiles } from './store.ts';

/** Where the server of a type lies in the store. */
export interface PackageResolver {
  /** @throws Fault type_unavailable */
  resolve(type: ServerType): Promise<ResolvedPackage>;
}

export interface ResolvedPackage {
  /** Directory that holds node_modules. */
  readonly dir: string;
  /** The script, relative to it. */
  readonly script: string;
}

export interface LocalDriverOptions {
  readonly dataDir: string;
  readonly packages: PackageResolver;
  /** The bundled shim, in the store. */
  readonly shimFile: string;
  readonly shimNodeFlags: readonly string[];
  readonly instanceHost: string;
  /** Origins that every instance serves, besides those of public hosts. */
  readonly origins: readonly string[];
  /** The epoch this supervisor holds its node at. */
  readonly epoch: () => number;
  readonly log: Logger;
  /** First user id for instances, as root; default: the highest range free by convention. */
  readonly uidBase?: number | undefined;
  /** Use no more than this of what the machine gives; for development and for tests of the lower rungs. */
  readonly isolationMax?: IsolationLevel | undefined;
}

/** What the parts of the driver share. */
export interface LocalState {
  readonly options: LocalDriverOptions;
  readonly files: RuntimeFiles;
  readonly isolation: Isolation;
  readonly links: Links;
  readonly caches: CompileCaches;
  /** What was written down about generations that live, by key: their looks at every few seconds read no file. */
  readonly records: Map<string, BundleRecord>;
  /** By key, whether a generation has room for two children; absent: not known to this supervisor yet. */
  readonly roomForTwo: Map<string, boolean>;
  /** Generations that are being told of another key, by key. */
  readonly rekeying: Set<string>;
  /** Which generation a user id belongs to now. */
  readonly tenants: Map<number, string>;
  /** User ids that were proved to have no process and have not been given out since: nobody else can run as them. */
  readonly vacant: Set<number>;
}

export function handleOf(record: BundleRecord): Handle {
  const { instanceId, generation, pid, startTicks, bootId, uid, port, isolation } = record;
  return { driver: 'local', instanceId, generation, pid, startTicks, bootId, uid, port, isolation };
}
