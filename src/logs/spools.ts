// The spools of this machine as the ingester sees them: how far each is read and stored, and which have news. Positions
// are only a cache of log_offsets; whoever doubts them forgets them, and they are read again.

import type { Queryable } from '../db/pool.ts';
import { readOffsets, type SpoolOffset } from '../db/queries/log-offsets.ts';
import { generationPath } from './spool-dir.ts';

export interface Spool {
  /** Its name in log_offsets. */
  readonly name: string;
  /** Directory names below the data directory. */
  readonly path: readonly string[];
  /** Null for the spool of the node itself. */
  readonly of: { readonly instanceId: string; readonly generation: number } | null;
  /** Up to here it is in the database; undefined: not known. */
  stored: SpoolOffset | undefined;
  /** Up to here it is read; ahead of `stored` while a batch is on its way. */
  read: SpoolOffset;
  /** Proven that nobody writes to it any more. */
  ended: boolean;
}

const start: SpoolOffset = { segment: 0, offsetBytes: 0 };

export interface Spools {
  /** The spool of a generation, made known if it is new. */
  generation(instanceId: string, generation: number): Spool;
  readonly node: Spool;
  all(): Iterable<Spool>;
  forget(spool: Spool): void;
  /** Reads the positions of those that have none. */
  locate(q: Queryable, spools: readonly Spool[]): Promise<void>;
  /** Doubts every position: after a failure nobody knows what was committed. */
  doubt(): void;
}

export function createSpools(nodeId: string): Spools {
  const known = new Map<string, Spool>();
  const add = (name: string, path: readonly string[], of: Spool['of']): Spool => {
    const spool: Spool = { name, path, of, stored: undefined, read: start, ended: false };
    known.set(name, spool);
    return spool;
  };
  const node = add(`node/${nodeId}`, ['node-spool'], null);

  return {
    node,
    generation(instanceId, generation) {
      const name = `${instanceId}/${generation}`;
      return known.get(name) ?? add(name, generationPath(instanceId, generation), { instanceId, generation });
    },
    all: () => known.values(),
    forget: (spool) => known.delete(spool.name),
    async locate(q, spools) {
      const lost = spools.filter((spool) => spool.stored === undefined);
      if (lost.length === 0) return;
      const offsets = await readOffsets(
        q,
        lost.map((spool) => spool.name),
      );
      for (const spool of lost) {
        spool.stored = offsets.get(spool.name) ?? start;
        spool.read = spool.stored;
      }
    },
    doubt() {
      for (const spool of known.values()) spool.stored = undefined;
    },
  };
}
