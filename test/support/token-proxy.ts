// A loopback proxy for programs that cannot send a token: it adds the token and otherwise passes everything on. What
// names the proxy itself in Host and Origin is made to name the server behind it; anything else is passed as it is.
import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface TokenProxy extends AsyncDisposable {
  readonly url: string;
}

/** Starts a proxy in front of an MCP endpoint. */
export async function startTokenProxy(target: string, token: string): Promise<TokenProxy> {
  const { host, hostname, port, pathname } = new URL(target);
  const server = createServer((incoming, outgoing) => {
    const own = incoming.socket.localPort;
    const named = (value: string): string =>
      value.replace(new RegExp(`^(https?://)?(localhost|127\\.0\\.0\\.1):${own}$`), `$1${host}`);
    const headers = incoming.rawHeaders.flatMap((value, at, all) => {
      if (at % 2 === 1) return [];
      const isNamed = /^(host|origin)$/i.test(value);
      return [value, isNamed ? named(all[at + 1] as string) : (all[at + 1] as string)];
    });
    const forward = request({
      hostname,
      port,
      path: incoming.url,
      method: incoming.method ?? 'GET',
      headers: [...headers, 'Authorization', `Bearer ${token}`] as never,
      setHost: false,
    });
    pass(forward, incoming, outgoing);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://localhost:${(server.address() as AddressInfo).port}${pathname}`,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

function pass(
  forward: ReturnType<typeof request>,
  incoming: IncomingMessage,
  outgoing: ServerResponse,
): void {
  forward.on('response', (answer) => {
    outgoing.writeHead(answer.statusCode ?? 502, answer.rawHeaders);
    outgoing.flushHeaders();
    answer.pipe(outgoing);
    answer.on('error', () => outgoing.destroy());
  });
  forward.on('error', () => outgoing.destroy());
  outgoing.on('close', () => forward.destroy());
  incoming.pipe(forward);
}
