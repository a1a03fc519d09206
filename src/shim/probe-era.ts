// Finds out, once, whether a server also speaks the modern era: asks a sibling of the child that serves, in the
// background, because some servers exit when anything comes before initialize. Whatever does not answer server/discover
// with a result is legacy.

import { ownEnvelope } from './bridge/modern.ts';
import { startChild } from './child.ts';
import type { ChildSpec } from './contract.ts';
import { createFramer } from './framing.ts';

const probeId = 'minimcp-era';
const answerBytesMax = 1024 * 1024;

/**
 * Asks a fresh process of the same server.
 * @returns dual, because the child that serves has answered initialize; or legacy
 */
export function probeEra(spec: ChildSpec, timeoutMs: number): Promise<'legacy' | 'dual'> {
  const sibling = startChild(spec);
  return new Promise((resolve) => {
    const settle = (era: 'legacy' | 'dual'): void => {
      clearTimeout(timer);
      sibling.signal('SIGKILL');
      sibling.destroyOutput();
      resolve(era);
    };
    const timer = setTimeout(() => settle('legacy'), timeoutMs);
    const framer = createFramer({
      lineBytesMax: answerBytesMax,
      keepBytes: 0,
      onLine: (line) => {
        const answered = answerOf(line);
        if (answered !== undefined) settle(answered ? 'dual' : 'legacy');
      },
      onLong: () => settle('legacy'),
    });
    sibling.stdout?.on('data', (chunk: Buffer) => framer.push(chunk));
    sibling.stderr?.resume();
    void sibling.exited.then(() => settle('legacy'));
    sibling.link.send(
      JSON.stringify({
        jsonrpc: '2.0',
        id: probeId,
        method: 'server/discover',
        params: { _meta: ownEnvelope() },
      }),
    );
  });
}

/** Whether a line answers the probe with a result; undefined when it is something else. */
function answerOf(line: Buffer): boolean | undefined {
  try {
    const message: unknown = JSON.parse(line.toString());
    if (typeof message !== 'object' || message === null || !('id' in message) || message.id !== probeId)
      return undefined;
    return 'result' in message;
  } catch {
    return undefined;
  }
}
