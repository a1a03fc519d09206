// Finds out which eras a server speaks, from a fresh process of it that serves nobody: some servers end when anything
// precedes initialize. It opens with server/discover; what answers like a modern server is then tried with initialize.
import type { Era } from '../../domain/server-type.ts';
import { metaKeys, modernCodes, modernVersion } from './envelope.ts';
import { type Json, objectIn } from './messages.ts';
import { ownEnvelope } from './modern.ts';

/** A fresh child's pipes. */
export interface ProbePipes {
  /** Sends one line. */
  send(line: string): unknown;
  /** Calls back with each line of its standard output, without the newline. */
  onLine(callback: (line: Buffer) => void): void;
  /** Resolves when the process is gone. */
  readonly exited: Promise<unknown>;
}

/** What became of a request: its answer, or null when the process ended or said nothing in time. */
type Ask = (id: number, method: string, params: Json) => Promise<Json | null>;

/**
 * @param timeoutMs for each of two answers
 * @returns never "unknown": a server that says nothing to a modern client is for legacy clients only
 */
export async function probeEra(pipes: ProbePipes, timeoutMs: number): Promise<Exclude<Era, 'unknown'>> {
  const waiting = new Map<unknown, (answer: Json | null) => void>();
  pipes.onLine((line) => {
    try {
      const message = JSON.parse(line.toString('utf8')) as Json;
      if (message.method === undefined) waiting.get(message.id)?.(message);
    } catch {
      // Not an answer.
    }
  });
  const ask: Ask = (id, method, params) =>
    new Promise((resolve) => {
      const timer = setTimeout(() => resolve(null), timeoutMs);
      const done = (answer: Json | null): void => {
        clearTimeout(timer);
        waiting.delete(id);
        resolve(answer);
      };
      waiting.set(id, done);
      void pipes.exited.then(() => done(null));
      pipes.send(JSON.stringify({ jsonrpc: '2.0', id, method, params }));
    });
  const discovered = await ask(1, 'server/discover', { _meta: ownEnvelope() });
  if (discovered === null || !isModernAnswer(discovered)) return 'legacy';
  const clientInfo = ownEnvelope()[metaKeys.client];
  const params = { protocolVersion: '2025-11-25', capabilities: {}, clientInfo };
  const initialized = await ask(2, 'initialize', params);
  return objectIn(initialized, 'result')?.protocolVersion === undefined ? 'modern' : 'dual';
}

function isModernAnswer(answer: Json): boolean {
  const supported = objectIn(answer, 'result')?.supportedVersions;
  if (Array.isArray(supported)) return supported.includes(modernVersion);
  return objectIn(answer, 'error')?.code === modernCodes.unsupportedVersion;
}
