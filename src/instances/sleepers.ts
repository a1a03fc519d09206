// Keeps the port of an idle-stopped instance open at the cost of one descriptor, and wakes it: a POST that carries its
// access token is held, the instance is launched on the same listening socket, and the request goes on to it. Nothing
// else wakes it: a stream that a client reopens is answered at once (405), a wrong token with 401. Where it may share a
// port with a shim it listens before that one leaves, so that no connection is refused (docs/adr/0017).
import { timingSafeEqual } from 'node:crypto';
import { connect, createServer, type ListenOptions, type Server, type Socket } from 'node:net';
import { messageOf } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import { hashToken } from '../base/tokens.ts';
import type { Instance } from '../domain/instance.ts';

const headBytesMax = 16 * 1024;
const headMsMax = 10_000;
/** Connections that may wait for one instance. */
const heldMax = 64;

export interface SleepersOptions {
  readonly host: string;
  readonly log: Logger;
  /**
   * Whether several sockets of ours may listen on one port. Only where instances are users of their own: the kernel lets
   * every process of the same user take part.
   */
  readonly shares: boolean;
  /** Launches the instance, unless it is on its way already. Resolves when it is running; rejects when it cannot be. */
  readonly wake: (id: string) => Promise<void>;
}

type Port = Pick<Instance, 'id' | 'assigned_port' | 'access_token'>;

export interface Sleepers {
  /**
   * Listens on the port of a sleeping instance. Throws when the port cannot be had.
   * @returns false when it did already
   */
  listen(row: Port): Promise<boolean>;
  /** Listens on a port whose shim is about to leave it. @returns whether it does: where it may not share, no */
  listenBeside(row: Port): Promise<boolean>;
  /** Listens for an instance that is about to start, so that its shim can inherit the socket. Fails silently. */
  listenAhead(row: Port): Promise<void>;
  /** Whether it listens for a sleeping instance. */
  has(id: string): boolean;
  /** Stops listening and lets go of whoever waits. Absent is success. */
  unlisten(id: string): void;
  /** The listening socket, for the shim that takes its place: it inherits `fd`; `release` closes ours. */
  handOver(id: string): { readonly fd: number; release(): void } | undefined;
  stop(): void;
}

interface Sleeper {
  readonly id: string;
  readonly port: number;
  readonly server: Server;
  tokenHash: Buffer;
  waking: Promise<void> | undefined;
  readonly held: Set<Socket>;
  /** Its instance sleeps; before, it is still on its way there. */
  asleep: boolean;
}

export function createSleepers(options: SleepersOptions): Sleepers {
  const sleepers = new Map<string, Sleeper>();

  const unlisten = (id: string): void => {
    const sleeper = sleepers.get(id);
    sleepers.delete(id);
    sleeper?.server.close();
    for (const socket of sleeper?.held ?? []) socket.destroy();
  };

  const open = async (row: Port, port: number): Promise<Sleeper> => {
    const server = createServer({ pauseOnConnect: true });
    const tokenHash = Buffer.from(row.access_token, 'hex');
    const sleeper: Sleeper = {
      ...{ id: row.id, port, server, tokenHash },
      ...{ waking: undefined, held: new Set(), asleep: false },
    };
    server.on('connection', (socket) => receive(options, sleeper, socket));
    await listening(server, { host: options.host, port, reusePort: options.shares });
    sleepers.set(row.id, sleeper);
    return sleeper;
  };
  /** The one there is, or one on a port that nobody else listens on. */
  const find = async (row: Port, port: number): Promise<Sleeper> => {
    const known = sleepers.get(row.id);
    if (known !== undefined) {
      known.tokenHash = Buffer.from(row.access_token, 'hex');
      return known;
    }
    if (options.shares) await refuseTaken(options.host, port);
    return open(row, port);
  };

  return {
    async listen(row) {
      if (row.assigned_port === null) return false;
      const sleeper = await find(row, row.assigned_port);
      const fresh = !sleeper.asleep;
      sleeper.asleep = true;
      return fresh;
    },
    async listenBeside(row) {
      if (!options.shares || row.assigned_port === null) return false;
      if (sleepers.has(row.id)) return true;
      return open(row, row.assigned_port).then(
        () => true,
        () => false,
      );
    },
    async listenAhead(row) {
      if (!options.shares || row.assigned_port === null) return;
      await find(row, row.assigned_port).catch(() => {});
    },
    has: (id) => sleepers.get(id)?.asleep === true,
    unlisten,
    handOver(id) {
      const sleeper = sleepers.get(id);
      const fd = sleeper === undefined ? -1 : descriptorOf(sleeper.server);
      if (sleeper === undefined || fd < 0) return undefined;
      return {
        fd,
        release: () => {
          sleepers.delete(id);
          // Those already accepted are piped through by `admit` once the instance runs; new ones go to the shim.
          sleeper.server.close();
        },
      };
    },
    stop() {
      for (const id of [...sleepers.keys()]) unlisten(id);
    },
  };
}

/** @throws EADDRINUSE for a port that a socket of whomever listens on, also one that would share it with us */
async function refuseTaken(host: string, port: number): Promise<void> {
  const probe = createServer((socket) => socket.destroy());
  await listening(probe, { host, port });
  probe.close();
}

function listening(server: Server, address: ListenOptions): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(address, () => {
      server.off('error', reject);
      server.on('error', () => {});
      resolve();
    });
  });
}

/** Node tells nobody the descriptor of a listening socket, but it has one. */
function descriptorOf(server: Server): number {
  const { _handle: handle } = server as unknown as { _handle?: { fd?: number } };
  return handle?.fd ?? -1;
}

function receive(options: SleepersOptions, sleeper: Sleeper, socket: Socket): void {
  socket.on('error', () => socket.destroy());
  if (sleeper.held.size >= heldMax) {
    refuse(socket, '503 Service Unavailable', 'too many wait for this instance to wake');
    return;
  }
  sleeper.held.add(socket);
  socket.on('close', () => sleeper.held.delete(socket));
  socket.setTimeout(headMsMax, () => socket.destroy());
  let head = Buffer.alloc(0);
  const onData = (chunk: Buffer): void => {
    head = Buffer.concat([head, chunk]);
    const end = head.indexOf('\r\n\r\n');
    if (end < 0 && head.length <= headBytesMax) return;
    socket.pause();
    socket.off('data', onData);
    if (end < 0) refuse(socket, '431 Request Header Fields Too Large', 'the header is too large');
    else void admit(options, sleeper, { socket, head, text: head.toString('latin1', 0, end) });
  };
  socket.on('data', onData);
  socket.resume();
}

interface Arrival {
  readonly socket: Socket;
  /** Everything read so far. */
  readonly head: Buffer;
  /** The request line and headers. */
  readonly text: string;
}

async function admit(
  options: SleepersOptions,
  sleeper: Sleeper,
  { socket, head, text }: Arrival,
): Promise<void> {
  const [method, path] = text.split(' ', 2);
  if (path === '/healthz') return refuse(socket, '200 OK', 'asleep');
  if (path?.split('?')[0] !== '/mcp') return refuse(socket, '404 Not Found', 'the endpoint is /mcp');
  if (!carriesToken(text, sleeper.tokenHash)) {
    return refuse(
      socket,
      '401 Unauthorized',
      'an access token of this instance is needed',
      'WWW-Authenticate: Bearer\r\n',
    );
  }
  if (method !== 'POST')
    return refuse(socket, '405 Method Not Allowed', 'asleep: only a POST wakes it', 'Allow: POST\r\n');
  socket.setTimeout(0);
  try {
    sleeper.waking ??= options.wake(sleeper.id).finally(() => {
      sleeper.waking = undefined;
    });
    await sleeper.waking;
    passOn(options.host, sleeper.port, socket, head);
  } catch (error) {
    options.log.warn(
      { instance: sleeper.id, reason: messageOf(error) },
      'a sleeping instance could not be woken',
    );
    refuse(socket, '503 Service Unavailable', 'the instance could not be woken', 'Retry-After: 5\r\n');
  }
}

function carriesToken(text: string, tokenHash: Buffer): boolean {
  const found = [...text.matchAll(/\r\nauthorization:[ \t]*([^\r\n]*)/gi)];
  const token = found.length === 1 ? /^bearer +(\S+)[ \t]*$/i.exec(found[0]?.[1] ?? '')?.[1] : undefined;
  return token !== undefined && timingSafeEqual(hashToken(token), tokenHash);
}

/** Connects a held client with the shim that now listens, for as long as that connection lasts. */
function passOn(host: string, port: number, socket: Socket, head: Buffer): void {
  const shim = connect({ host: host === '0.0.0.0' || host === '::' ? '127.0.0.1' : host, port });
  shim.on('error', () => socket.destroy());
  shim.on('close', () => socket.destroy());
  socket.on('close', () => shim.destroy());
  shim.write(head);
  socket.pipe(shim);
  shim.pipe(socket);
}

function refuse(socket: Socket, status: string, message: string, headers = ''): void {
  const body = JSON.stringify({ jsonrpc: '2.0', id: null, error: { code: -32_000, message } });
  socket.end(
    `HTTP/1.1 ${status}\r\nContent-Type: application/json\r\nContent-Length: ${Buffer.byteLength(body)}\r\n${headers}Connection: close\r\n\r\n${body}`,
  );
}
