// Leases ports of the node's pool inside the caller's transaction. A port that something else listens on is put into
// quarantine and the next is tried, so that no instance starts on a port it cannot have.
import { createServer } from 'node:net';
import { Fault } from '../base/errors.ts';
import type { Db, Tx } from '../db/pool.ts';
import { lockFreePort, lockPort, type PoolRange, quarantinePort } from '../db/queries/ports.ts';

/** Foreign ports passed over for one request; the pool may be larger, a request's patience is not. */
const triesMax = 20;
const quarantineSeconds = 600;

export interface AllocatorOptions {
  readonly db: Db;
  readonly nodeId: string;
  /** Address instances listen on. */
  readonly host: string;
  /** The pool's range, read live. */
  readonly range: () => Promise<PoolRange>;
}

export interface Allocator {
  /** The pool's range now. Asked before the transaction: it may need a connection of its own. */
  range(): Promise<PoolRange>;
  /** Locks a port that is free here and now, preferring `preferred`. The caller assigns it in the same transaction. */
  lock(tx: Tx, range: PoolRange, preferred: number | null): Promise<number>;
}

export function createAllocator(options: AllocatorOptions): Allocator {
  const lock: Allocator['lock'] = async (tx, { from, to }, preferred) => {
    for (let tries = 0; tries < triesMax; tries += 1) {
      const wanted = tries === 0 ? preferred : null;
      const again =
        wanted !== null && wanted >= from && wanted <= to && (await lockPort(tx, options.nodeId, wanted));
      const port = again ? wanted : await lockFreePort(tx, options.nodeId, { from, to });
      if (port === undefined) break;
      if (await canListen(options.host, port)) return port;
      // In this transaction too: the next try must not see it. Given back by time, found again by the same probe.
      await quarantinePort(tx, options.nodeId, port, {
        seconds: quarantineSeconds,
        reason: `something else listens on ${options.host}:${port}`,
      });
    }
    throw new Fault('no_port_free', `no port from ${from} to ${to} is free on node ${options.nodeId}`, {
      retryAfterS: 30,
    });
  };
  return { range: options.range, lock };
}

/** Whether this process could listen there now. */
function canListen(host: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen({ host, port, exclusive: true }, () => server.close(() => resolve(true)));
  });
}
