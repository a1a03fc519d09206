// Writes HTTP answers. It never throws and never writes to a connection that is gone: a client that left loses its
// answer, nobody else does.
import type { ServerResponse } from 'node:http';

/** Codes of JSON-RPC errors the shim itself gives. */
export const codes = {
  parse: -32700,
  invalidRequest: -32600,
  methodNotFound: -32601,
  invalidParams: -32602,
  internal: -32603,
  /** Refused for the state of things: no session, too many, stopping. */
  refused: -32000,
  timeout: -32001,
} as const;

/** A JSON-RPC error message. `idText` is the request's id as JSON text, `null` when there is none. */
export function errorText(idText: string, code: number, message: string, data?: unknown): string {
  const error = data === undefined ? { code, message } : { code, message, data };
  return `{"jsonrpc":"2.0","id":${idText},"error":${JSON.stringify(error)}}`;
}

/** A JSON-RPC result message. */
export function resultText(idText: string, result: unknown): string {
  return `{"jsonrpc":"2.0","id":${idText},"result":${JSON.stringify(result)}}`;
}

/** Whether anything can still be written to it. */
export function isOpen(response: ServerResponse): boolean {
  return !response.destroyed && !response.writableEnded;
}

/** A message on its way to a client: text, or the pieces of a large one. */
export type Payload = string | readonly Buffer[];

/** Answers with one JSON document. */
export function answerJson(
  response: ServerResponse,
  status: number,
  payload: Payload,
  headers: readonly string[] = [],
): void {
  if (!isOpen(response) || response.headersSent) return;
  const sizeBytes =
    typeof payload === 'string'
      ? Buffer.byteLength(payload)
      : payload.reduce((sum, part) => sum + part.length, 0);
  response.writeHead(status, [
    'Content-Type',
    'application/json',
    'Content-Length',
    String(sizeBytes),
    ...headers,
  ]);
  if (typeof payload === 'string') {
    response.end(payload);
    return;
  }
  for (const part of payload) response.write(part);
  response.end();
}

/** A payload as text. */
export function payloadText(payload: Payload): string {
  return typeof payload === 'string' ? payload : Buffer.concat(payload).toString('utf8');
}

export interface Refusal {
  readonly status: number;
  readonly code: number;
  readonly message: string;
  readonly idText?: string;
  readonly data?: unknown;
  /** Seconds until trying again makes sense. */
  readonly retryAfterS?: number;
  /** Ends the connection after the answer: the rest of the request is not wanted. */
  readonly closes?: boolean;
}

/** Answers with a JSON-RPC error under an HTTP error status. */
export function refuse(response: ServerResponse, refusal: Refusal): void {
  const { status, code, message, idText = 'null', data, retryAfterS, closes } = refusal;
  const headers: string[] = [];
  if (retryAfterS !== undefined) headers.push('Retry-After', String(retryAfterS));
  if (closes === true) headers.push('Connection', 'close');
  answerJson(response, status, errorText(idText, code, message, data), headers);
}

/** 202: taken, and there is nothing to say to it. */
export function accept(response: ServerResponse): void {
  if (!isOpen(response)) return;
  response.writeHead(202, ['Content-Length', '0']);
  response.end();
}
