// Stands between a supervisor and PostgreSQL and sees every statement go by: it can kill the supervisor −9 just before
// a statement reaches the server or just after it was answered, delay answers, or cut every connection. It understands
// of the wire protocol only where messages begin and end.
import { once } from 'node:events';
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface Statement {
  /** Number of the statement since the last `count` began, from 1. */
  readonly number: number;
  readonly sql: string;
  /** What it is given, as text; null for NULL and for what was sent in binary. */
  readonly params: readonly (string | null)[];
  /** Number of the connection it came on. */
  readonly connection: number;
}

export interface PgProxy {
  /** postgres:// URL through the proxy. */
  readonly url: string;
  /** Called before a statement goes on; a returned promise holds it back. */
  beforeStatement: ((statement: Statement) => void | Promise<void>) | undefined;
  /** Called when the server has answered a statement, before the answer goes on. */
  afterStatement: ((statement: Statement) => void | Promise<void>) | undefined;
  /** Counts from 1 again. */
  reset(): void;
  /** Refuses connections and cuts those there are, until `reopen`. */
  cut(): void;
  reopen(): void;
  close(): Promise<void>;
}

/** Opens a proxy in front of a server that listens on a Unix socket. */
export async function openPgProxy(server: {
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly database: string;
}): Promise<PgProxy> {
  const dir = await mkdtemp(join(tmpdir(), 'mm-pg-'));
  const sockets = new Set<Socket>();
  let open = true;
  let count = 0;
  let connections = 0;

  const listener = createServer((client) => {
    if (!open) return client.destroy();
    const upstream = connect(join(server.host, `.s.PGSQL.${server.port}`));
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.on('error', () => {});
      socket.on('close', () => {
        sockets.delete(socket);
        client.destroy();
        upstream.destroy();
      });
    }
    const connection = ++connections;
    const asked: Statement[] = [];
    // Prepared by Parse; run by Bind, which alone brings the values. Parse by itself does nothing.
    const prepared = new Map<string, string>();
    let started = false;
    relay(
      client,
      upstream,
      () => started,
      async (type, body) => {
        if (!started) {
          started = true;
          return;
        }
        if (type === 'P') {
          const [name, sql] = textsOf(body, 2);
          prepared.set(name ?? '', sql ?? '');
        }
        const bound = type === 'B' ? boundTo(body) : undefined;
        const sql =
          type === 'Q' ? textsOf(body, 1)[0] : bound === undefined ? undefined : prepared.get(bound.name);
        if (sql === undefined) return;
        const statement = { number: ++count, sql, params: bound?.params ?? [], connection };
        asked.push(statement);
        await proxy.beforeStatement?.(statement);
      },
    );
    relay(
      upstream,
      client,
      () => true,
      async (type) => {
        if (type !== 'Z') return;
        for (const statement of asked.splice(0)) await proxy.afterStatement?.(statement);
      },
    );
  });
  listener.listen(join(dir, '.s.PGSQL.5432'));
  await once(listener, 'listening');
  await chmod(dir, 0o755);

  const proxy: PgProxy = {
    url: `postgresql://${server.user}@/${server.database}?host=${encodeURIComponent(dir)}`,
    beforeStatement: undefined,
    afterStatement: undefined,
    reset() {
      count = 0;
    },
    cut() {
      open = false;
      for (const socket of sockets) socket.destroy();
    },
    reopen() {
      open = true;
    },
    async close() {
      for (const socket of sockets) socket.destroy();
      listener.close();
      await rm(dir, { recursive: true, force: true });
    },
  };
  return proxy;
}

/** Passes messages on one by one, each after `see` has looked at it. */
function relay(
  from: Socket,
  to: Socket,
  typed: () => boolean,
  see: (type: string, body: Buffer) => Promise<void>,
): void {
  let pending: Buffer = Buffer.alloc(0);
  let queue = Promise.resolve();
  from.on('data', (chunk: Buffer) => {
    pending = Buffer.concat([pending, chunk]);
    queue = queue.then(async () => {
      for (;;) {
        // The first message of a client has no type byte: length first.
        const head = typed() ? 1 : 0;
        if (pending.length < head + 4) return;
        const length = head + pending.readUInt32BE(head);
        if (pending.length < length) return;
        const message = pending.subarray(0, length);
        pending = pending.subarray(length);
        await see(head === 1 ? String.fromCharCode(message[0] ?? 0) : '', message.subarray(head + 4));
        if (!to.destroyed) to.write(message);
      }
    });
  });
}

/** The first texts of a message, each ended by NUL. */
function textsOf(body: Buffer, count: number): string[] {
  const texts: string[] = [];
  for (let at = 0; texts.length < count; ) {
    const end = body.indexOf(0, at);
    texts.push(body.toString('utf8', at, end));
    at = end + 1;
  }
  return texts;
}

/** The statement a Bind message runs, and with what. */
function boundTo(body: Buffer): { name: string; params: (string | null)[] } {
  const [portal = '', name = ''] = textsOf(body, 2);
  let at = Buffer.byteLength(portal) + Buffer.byteLength(name) + 2;
  const formats: number[] = [];
  const formatCount = body.readInt16BE(at);
  at += 2;
  for (let turn = 0; turn < formatCount; turn += 1, at += 2) formats.push(body.readInt16BE(at));
  const params: (string | null)[] = [];
  const paramCount = body.readInt16BE(at);
  at += 2;
  for (let turn = 0; turn < paramCount; turn += 1) {
    const length = body.readInt32BE(at);
    at += 4;
    const isText = (formats.length === 1 ? formats[0] : (formats[turn] ?? 0)) === 0;
    params.push(length >= 0 && isText ? body.toString('utf8', at, at + length) : null);
    at += Math.max(length, 0);
  }
  return { name, params };
}
