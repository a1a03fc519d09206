// The one way out for a server whose type names the hosts it may reach: an HTTP proxy on a Unix socket that opens
// tunnels (CONNECT) to those hosts and to nothing else. A name that leads into the machine or its network is refused,
// whoever answers for it. What is refused is said in the log; the rest is the server's business and is not looked at.
import { lookup } from 'node:dns/promises';
import { mkdirSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { BlockList, connect, isIP, type Socket } from 'node:net';
import { dirname } from 'node:path';
import type { Duplex } from 'node:stream';
import type { Say } from './seams.ts';

export interface EgressOptions {
  /** Path of the socket, from the current directory. */
  readonly socket: string;
  /** Names, `*.` and a domain, or addresses; each may end in `:port`, else the port is 443. */
  readonly hosts: readonly string[];
  readonly say: Say;
}

const tunnelsMax = 128;
const connectMs = 10_000;
const idleMs = 5 * 60_000;

interface Wish {
  readonly host: string;
  readonly port: number;
}

/** Starts the proxy. What goes wrong with it is a word in the log: the server goes on without a way out. */
export function startEgress(options: EgressOptions): Server {
  const { say } = options;
  let tunnels = 0;
  const server = createServer((_request, response) => {
    response.writeHead(405, { connection: 'close' }).end('only CONNECT is served here\n');
  });
  server.on('connect', (request, client, head) => {
    client.on('error', () => client.destroy());
    const wish = readTarget(request.url ?? '');
    if (wish === undefined) return refuse(client, '400 Bad Request');
    if (!isAllowed(wish, options.hosts)) {
      say('warn', `The server wanted to reach ${wish.host}:${wish.port}, which its type does not allow`);
      return refuse(client, '403 Forbidden');
    }
    if (tunnels >= tunnelsMax) return refuse(client, '503 Service Unavailable');
    tunnels += 1;
    client.once('close', () => {
      tunnels -= 1;
    });
    resolvePublic(wish, options.hosts)
      .then((address) => tunnel(client, head, { host: address, port: wish.port }))
      .catch((error: Error) => {
        say('warn', `The server could not reach ${wish.host}:${wish.port}: ${error.message}`);
        refuse(client, '502 Bad Gateway');
      });
  });
  server.on('clientError', (_error, socket) => socket.destroy());
  server.on('error', (error) => say('error', `Its way out could not be opened: ${error.message}`));
  server.maxConnections = tunnelsMax * 2;
  mkdirSync(dirname(options.socket), { recursive: true });
  rmSync(options.socket, { force: true });
  server.listen(options.socket);
  return server;
}

/** host:port of a CONNECT; undefined when it is none. */
export function readTarget(target: string): Wish | undefined {
  const match = /^(\[[0-9a-f:.]+\]|[a-z0-9.-]{1,253}):(\d{1,5})$/i.exec(target);
  const port = Number(match?.[2]);
  if (match === null || port < 1 || port > 65_535) return undefined;
  return {
    host: (match[1] ?? '')
      .replace(/^\[|\]$/g, '')
      .toLowerCase()
      .replace(/\.$/, ''),
    port,
  };
}

/** Whether the list names this host and port. */
export function isAllowed({ host, port }: Wish, hosts: readonly string[]): boolean {
  return hosts.some((entry) => {
    const [, name = '', allowedPort = '443'] = /^(.*?)(?::(\d+))?$/.exec(entry.toLowerCase()) ?? [];
    if (Number(allowedPort) !== port) return false;
    return name.startsWith('*.')
      ? host.endsWith(name.slice(1)) && host.length > name.length - 1
      : host === name;
  });
}

const inner = new BlockList();
for (const [network, prefix] of [
  ['0.0.0.0', 8],
  ['10.0.0.0', 8],
  ['100.64.0.0', 10],
  ['127.0.0.0', 8],
  ['169.254.0.0', 16],
  ['172.16.0.0', 12],
  ['192.0.0.0', 24],
  ['192.168.0.0', 16],
  ['198.18.0.0', 15],
  ['224.0.0.0', 3],
] as const) {
  inner.addSubnet(network, prefix, 'ipv4');
}
for (const [network, prefix] of [
  ['::', 127],
  ['64:ff9b::', 96],
  ['fc00::', 7],
  ['fe80::', 10],
  ['ff00::', 8],
] as const) {
  inner.addSubnet(network, prefix, 'ipv6');
}

/** Whether an address lies in this machine, its network, or nowhere. */
export function isInner(address: string): boolean {
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.[1];
  const plain = mapped ?? address;
  const family = isIP(plain);
  // ::ffff: in any other spelling is nothing a resolver gives; it is refused with what cannot be read.
  if (family === 0 || /^::ffff:/i.test(plain)) return true;
  return inner.check(plain, family === 6 ? 'ipv6' : 'ipv4');
}

/** An address of the host that is public, or any when the list names the host by an inner address or as localhost. */
async function resolvePublic({ host }: Wish, hosts: readonly string[]): Promise<string> {
  const named = hosts.some((entry) => entry.replace(/:\d+$/, '').toLowerCase() === host);
  if (named && (isIP(host) !== 0 || host === 'localhost')) {
    return isIP(host) === 0 ? (await lookup(host)).address : host;
  }
  const found = await lookup(host, { all: true });
  const open = found.find(({ address }) => !isInner(address));
  if (open === undefined) throw new Error('its name leads to no public address');
  return open.address;
}

function tunnel(client: Duplex, head: Buffer, to: Wish): void {
  if (client.destroyed) return;
  const remote: Socket = connect({ ...to, timeout: connectMs });
  const end = (): void => {
    remote.destroy();
    client.destroy();
  };
  remote.once('connect', () => {
    remote.setTimeout(idleMs);
    client.write('HTTP/1.1 200 Connection Established\r\n\r\n');
    if (head.length > 0) remote.write(head);
    client.pipe(remote).pipe(client);
  });
  remote.once('timeout', end);
  remote.once('error', () => {
    if (remote.connecting || remote.bytesRead === 0) refuse(client, '502 Bad Gateway');
    end();
  });
  remote.once('close', end);
  client.once('close', end);
}

function refuse(client: Duplex, status: string): void {
  if (client.writable) client.end(`HTTP/1.1 ${status}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n`);
}
