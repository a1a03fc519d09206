// Whose requests the control endpoint takes at all: a browser that was led here under a foreign name (DNS rebinding) is
// turned away before its token is looked at, as it is at the door of an instance.
import { hostname } from 'node:os';
import type { FastifyRequest } from 'fastify';
import { Fault } from '../../base/errors.ts';

/** Throws forbidden for a Host that is not ours, or an Origin of another site. */
export function refuseForeign(request: FastifyRequest, publicUrl: string | undefined): void {
  const host = request.headers.host?.toLowerCase() ?? '';
  if (!hostsOf(request, publicUrl).includes(host))
    throw new Fault(
      'forbidden',
      'this Host is not served here; set MINIMCP_PUBLIC_URL for a name of your own',
    );
  const origin = request.headers.origin?.toLowerCase();
  const known = [`http://${host}`, `https://${host}`, publicUrl && new URL(publicUrl).origin];
  if (origin !== undefined && !known.includes(origin))
    throw new Fault('forbidden', 'this Origin is not allowed');
}

/**
 * The names this machine answers to. The address a connection came to is one: a rebound name resolves to it, but does not
 * read like it.
 */
function hostsOf({ socket }: FastifyRequest, publicUrl: string | undefined): string[] {
  const { localAddress = '', localPort } = socket;
  const address = localAddress.replace(/^::ffff:(?=\d+\.)/, '');
  const names = ['localhost', '127.0.0.1', '[::1]', hostname().toLowerCase()];
  names.push(address.includes(':') ? `[${address}]` : address);
  const own = names.flatMap((name) => (localPort === 80 ? [name, `${name}:80`] : [`${name}:${localPort}`]));
  return publicUrl === undefined ? own : [...own, new URL(publicUrl).host.toLowerCase()];
}
