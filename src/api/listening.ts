// The socket side of the API: listening, closing within a bound, and answering what is not HTTP enough for a handler.
import { randomUUID } from 'node:crypto';
import type { Socket } from 'node:net';
import { hostname } from 'node:os';
import type { FastifyInstance } from 'fastify';
import { Fault } from '../base/errors.ts';
import { findPortHolder } from '../runtime/port-holder.ts';
import { rawProblem } from './problems.ts';

/** Requests that are not HTTP enough to have a handler. */
export function refuseUnreadable(error: NodeJS.ErrnoException, socket: Socket): void {
  if (error.code === 'ECONNRESET' || socket.destroyed) return;
  const status =
    error.code === 'ERR_HTTP_REQUEST_TIMEOUT' ? 408 : error.code === 'HPE_HEADER_OVERFLOW' ? 431 : 400;
  const detail = {
    400: 'this is not HTTP/1.1 as it should be',
    408: 'the request took too long to arrive',
    431: 'the request headers are too large',
  }[status];
  if (socket.writable) socket.write(rawProblem(status, detail, randomUUID()));
  socket.destroySoon();
}

/** How long requests in hand may take when the API closes, milliseconds. */
const closeMsMax = 8_000;
const closeIdleMs = 50;

/** Takes nothing new, finishes what is in hand, and lets go of whoever takes too long. */
export async function close(app: FastifyInstance): Promise<void> {
  // A connection that was busy when the closing began is kept alive after its answer; it would hold the server open.
  const idle = setInterval(() => app.server.closeIdleConnections(), closeIdleMs);
  const late = setTimeout(() => app.server.closeAllConnections(), closeMsMax);
  try {
    await app.close();
  } finally {
    clearInterval(idle);
    clearTimeout(late);
  }
}

/** @returns the URL. @throws Fault port_in_use */
export async function listen(
  app: FastifyInstance,
  { host, port }: { readonly host: string; readonly port: number },
): Promise<string> {
  try {
    await app.listen({ host, port });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE') throw error;
    const holder = findPortHolder(port);
    const who = holder === undefined ? 'something' : `process ${holder.pid} (${holder.command})`;
    throw new Fault('port_in_use', `${who} already listens on ${host}:${port}`, { cause: error });
  }
  const address = app.server.address();
  const bound = typeof address === 'object' && address !== null ? address.port : port;
  return `http://${host.includes(':') ? `[${host}]` : host}:${bound}`;
}

/** The URL somebody else can open: one that listens everywhere is reached by this machine's name. */
export function reachable(url: string): string {
  return url.replace(/\/\/(?:0\.0\.0\.0|\[::\])(?=:)/, `//${hostname()}`);
}
