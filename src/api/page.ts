// The dashboard's files, as the build left them in dist/dashboard: the page itself is asked for anew each time, what it
// loads has a hash in its name and is kept. Nothing outside that directory is served, and nothing the page loads may come
// from anywhere else.
import { lstat } from 'node:fs/promises';
import { join } from 'node:path';
import fastifyStatic from '@fastify/static';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { Fault } from '../base/errors.ts';

const policy = [
  ...[
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "img-src 'self' data:",
    "font-src 'self'",
  ],
  ...["connect-src 'self'", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'none'"],
].join('; ');

const unbuilt = `<!doctype html>
<html lang="en"><meta charset="utf-8"><title>MiniMCP</title>
<p>The dashboard is not built yet: <code>npm run build</code> makes it. The API is at /api/v1.</p></html>
`;

/** Serves the page from `dir`, whether it is there already or built later. */
export async function registerPage(app: FastifyInstance, dir: string): Promise<void> {
  await app.register(fastifyStatic, {
    ...{ root: dir, serve: false, suppressWarning: true, index: false },
    ...{ dotfiles: 'deny', acceptRanges: false, cacheControl: false },
    setHeaders: (reply, path) => {
      const isPage = path === join(dir, 'index.html');
      reply.header('content-security-policy', policy);
      reply.header('cache-control', isPage ? 'no-cache' : 'public, max-age=31536000, immutable');
    },
  });
  const options = { schema: { hide: true }, onRequest: refuseConditions };
  app.get('/', options, async (_request, reply) => {
    if (await isFile(join(dir, 'index.html'))) return reply.sendFile('index.html');
    return reply.code(404).type('text/html; charset=utf-8').send(unbuilt);
  });
  app.get<{ Params: { '*': string } }>('/assets/*', options, (request, reply) =>
    sendAsset(reply, dir, request.params['*']),
  );
}

/** What is served does not change under its name: whoever has it asks with If-None-Match. */
async function refuseConditions({ headers }: FastifyRequest): Promise<void> {
  if (headers['if-match'] === undefined && headers['if-unmodified-since'] === undefined) return;
  throw new Fault('malformed_request', 'here a request may carry If-None-Match, and no other condition');
}

/** Names are those a build makes; anything that could lead elsewhere is no name. */
async function sendAsset(reply: FastifyReply, dir: string, name: string): Promise<FastifyReply> {
  const isName = /^\w[\w.-]*$/.test(name) && (await isFile(join(dir, 'assets', name)));
  if (!isName) throw new Fault('not_found', 'there is no such path');
  return reply.sendFile(`assets/${name}`);
}

function isFile(path: string): Promise<boolean> {
  return lstat(path).then(
    (found) => found.isFile(),
    () => false,
  );
}
