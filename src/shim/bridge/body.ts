// Receives the body of a request, bounded in bytes for one and for all. It holds nothing of a body that is refused,
// and reads none while the child does not read.
import type { IncomingMessage, ServerResponse } from 'node:http';
import { codes, refuse } from './answers.ts';
import type { Core } from './state.ts';

/** Bodies that may be held at once, as a multiple of the longest. */
const heldFactor = 4;

/** Calls `then` with the whole body, or answers the request itself. */
export function readBody(
  core: Core,
  request: IncomingMessage,
  response: ServerResponse,
  then: (body: Buffer) => void,
): void {
  let first: Buffer | null = null;
  let chunks: Buffer[] | null = null;
  let sizeBytes = 0;
  let over = false;
  const release = (): void => {
    core.bodyBytes -= sizeBytes;
    sizeBytes = 0;
  };
  const stop = (status: number, message: string): void => {
    over = true;
    release();
    first = null;
    chunks = null;
    refuse(response, { status, code: codes.refused, message, closes: true });
    // What else comes is not read; the connection goes with the answer.
    request.pause();
    response.once('finish', () => request.destroy());
  };
  request.on('data', (chunk: Buffer) => {
    if (over) return;
    sizeBytes += chunk.length;
    core.bodyBytes += chunk.length;
    if (sizeBytes > core.bounds.bodyBytesMax)
      return void stop(413, `The body is over ${core.bounds.bodyBytesMax} bytes`);
    if (core.bodyBytes > core.bounds.bodyBytesMax * heldFactor)
      return void stop(503, 'Too many large bodies at once');
    if (first === null) first = chunk;
    else if (chunks === null) chunks = [first, chunk];
    else chunks.push(chunk);
  });
  request.once('end', () => {
    if (over) return;
    over = true;
    const body = chunks === null ? (first ?? Buffer.alloc(0)) : Buffer.concat(chunks);
    release();
    then(body);
  });
  request.once('close', () => {
    if (over) return;
    over = true;
    release();
  });
}
