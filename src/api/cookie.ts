// The dashboard's cookie: how it is given, read and taken back, and what else a browser must show before it may change
// anything. A cookie goes to every port of a host and along with requests that other pages make; the CSRF token and the
// page's own origin do not.
import { createHmac, timingSafeEqual } from 'node:crypto';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { Fault } from '../base/errors.ts';

export const cookieName = 'minimcp_session';

/** What of the daemon's own address cookies and origins depend on. */
export interface OwnAddress {
  /** The base users see when a proxy stands in front. */
  readonly publicUrl?: string | undefined;
}

export function giveCookie(reply: FastifyReply, own: OwnAddress, secret: string, expires: Date): void {
  reply.setCookie(cookieName, secret, { ...attributesOf(own), expires });
}

export function takeCookie(reply: FastifyReply, own: OwnAddress): void {
  reply.clearCookie(cookieName, attributesOf(own));
}

function attributesOf({ publicUrl }: OwnAddress) {
  return {
    path: '/',
    httpOnly: true,
    sameSite: 'strict',
    secure: publicUrl?.startsWith('https:') === true,
  } as const;
}

/** The secret of the session a request shows; undefined where there is none, or where a token in the header goes first. */
export function cookieOf(request: FastifyRequest): string | undefined {
  return request.headers.authorization === undefined ? request.cookies[cookieName] : undefined;
}

/** Follows from the secret, so it need not be kept, and does not lead back to it. */
export function csrfTokenOf(secret: string): string {
  return createHmac('sha256', secret).update('minimcp csrf v1').digest('base64url');
}

/** Refuses a request that changes something with nothing but a cookie. @throws Fault csrf_token_wrong, foreign_origin */
export function refuseForged(request: FastifyRequest, own: OwnAddress, secret: string): void {
  if (request.method === 'GET' || request.method === 'HEAD') return;
  refuseForeignOrigin(request, own);
  const given = Buffer.from(String(request.headers['x-csrf-token'] ?? ''));
  const right = Buffer.from(csrfTokenOf(secret));
  if (given.length === right.length && timingSafeEqual(given, right)) return;
  throw new Fault('csrf_token_wrong', 'send the csrf_token of this session as X-CSRF-Token');
}

/** Refuses what a browser sends for another site's page. Whoever is no browser names no origin. */
export function refuseForeignOrigin(request: FastifyRequest, { publicUrl }: OwnAddress): void {
  const { origin, host } = request.headers;
  if (origin === undefined) return;
  if (URL.canParse(origin)) {
    if (publicUrl !== undefined && new URL(origin).origin === new URL(publicUrl).origin) return;
    if (new URL(origin).host === host) return;
  }
  throw new Fault('foreign_origin', 'the request comes from a page of another site');
}
