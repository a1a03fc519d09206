// Asks a sibling of the child that serves what else it speaks: the same command in the same sandbox, in the background,
// for moments only. The child that serves is never asked, because some servers exit when anything precedes initialize.
import type { Era } from '../domain/server-type.ts';
import { probeEra } from './bridge/probe.ts';
import { startChild } from './child.ts';
import type { ChildSpec } from './contract.ts';
import { createFramer } from './framing.ts';

const answerBytesMax = 1024 * 1024;

/**
 * The era of a server whose child has answered initialize.
 * @param timeoutMs for each of the probe's answers
 */
export async function probeSibling(spec: ChildSpec, timeoutMs: number): Promise<Era> {
  const sibling = startChild(spec);
  sibling.stderr?.resume();
  try {
    const era = await probeEra(
      {
        send: (line) => sibling.link.send(line),
        onLine(onLine) {
          const framer = createFramer({
            lineBytesMax: answerBytesMax,
            keepBytes: 0,
            onLine,
            onLong: () => {},
          });
          sibling.stdout?.on('data', (chunk: Buffer) => framer.push(chunk));
        },
        exited: sibling.exited,
      },
      timeoutMs,
    );
    // A server may keep to the era it was first spoken to in; that it knows the legacy one has been seen.
    return era === 'legacy' ? 'legacy' : 'dual';
  } finally {
    sibling.signal('SIGKILL');
    sibling.destroyOutput();
  }
}
