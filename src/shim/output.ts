// Reads what the child writes: standard output to the bridge, line by line, and standard error to the log. A child
// that floods its log is read slowly, never fast enough to take the shim's time or memory from its calls.
import { monotonicMs } from '../base/clock.ts';
import type { Child } from './child.ts';
import type { Bounds, ChildSpec } from './contract.ts';
import { createFramer } from './framing.ts';
import { levelOf } from './level.ts';
import { type LogTextOptions, logText } from './log-text.ts';
import type { Bridge, Say } from './seams.ts';
import type { Spool } from './spool.ts';
import type { Tail } from './tail.ts';

export interface OutputOptions {
  readonly child: Child;
  /** A child that does not speak MCP over its standard output writes log there too. */
  readonly transport: ChildSpec['transport'];
  readonly bridge: Pick<Bridge, 'receive'>;
  readonly spool: Spool;
  readonly tail: Pick<Tail, 'push'>;
  readonly text: LogTextOptions;
  readonly bounds: Bounds;
  readonly say: Say;
}

/** Log bytes that may wait for the disk before the child is no longer read, and when it is read again. */
const queueBytesHigh = 2 * 1024 * 1024;
const queueBytesLow = 512 * 1024;
/** Share of the shim's time that reading the log may take. */
const windowMs = 100;
const windowShareMs = 30;
const recheckMs = 20;

export interface Output {
  /** The child can say nothing more to its clients. */
  readonly messagesEnded: Promise<void>;
  /** Both streams are at their end, and what they held has been handed on. */
  readonly ended: Promise<void>;
}

/** Starts reading. */
export function readOutput(options: OutputOptions): Output {
  const { stdout, stderr } = options.child;
  const readStdout = options.transport === 'stdio' ? readMessages : readLog;
  const messagesEnded = stdout ? readStdout(options, stdout) : Promise.resolve();
  const logEnded = stderr ? readLog(options, stderr) : Promise.resolve();
  return { messagesEnded, ended: Promise.all([messagesEnded, logEnded]).then(() => {}) };
}

function readMessages(options: OutputOptions, stream: NodeJS.ReadableStream): Promise<void> {
  const { bridge, bounds, say, spool } = options;
  const { link } = options.child;
  const framer = createFramer({
    lineBytesMax: bounds.childLineBytesMax,
    keepBytes: 0,
    onLine: (line) => bridge.receive(link, line),
    onLong: (_, sizeBytes) =>
      say('warn', `The server wrote a line of ${sizeBytes} bytes to standard output; it was skipped`, {
        bytes: sizeBytes,
        limit: bounds.childLineBytesMax,
      }),
  });
  const resumeWhenWritten = (): void => {
    if (spool.queuedBytes() > queueBytesLow) setTimeout(resumeWhenWritten, recheckMs);
    else stream.resume();
  };
  return new Promise((resolve) => {
    stream.on('data', (chunk: Buffer) => {
      framer.push(chunk);
      // Only a child whose output is not MCP fills the log from here.
      if (spool.queuedBytes() > queueBytesHigh) {
        stream.pause();
        resumeWhenWritten();
      }
    });
    stream.once('close', () => {
      framer.end();
      resolve();
    });
  });
}

function readLog(options: OutputOptions, stream: NodeJS.ReadableStream): Promise<void> {
  const { spool, tail, text } = options;
  const take = (line: Buffer, sizeBytes: number): void => {
    tail.push(line, sizeBytes);
    if (spool.isDropping()) {
      spool.drop('process');
      return;
    }
    const { msg, meta } = logText(line, sizeBytes, text);
    spool.append('process', levelOf(msg), msg, meta);
  };
  const keepBytes = text.lineBytesMax + text.redact.windowBytes;
  const framer = createFramer({
    lineBytesMax: keepBytes,
    keepBytes,
    onLine: (line) => take(line, line.length),
    onLong: take,
  });
  let windowEndMs = 0;
  let spentMs = 0;
  const resume = (): void => {
    if (spool.queuedBytes() > queueBytesLow) setTimeout(resume, recheckMs);
    else stream.resume();
  };
  return new Promise((resolve) => {
    stream.on('data', (chunk: Buffer) => {
      const startMs = monotonicMs();
      if (startMs >= windowEndMs) {
        windowEndMs = startMs + windowMs;
        spentMs = 0;
      }
      framer.push(chunk);
      const endMs = monotonicMs();
      spentMs += endMs - startMs;
      const isTooMuch = spentMs > windowShareMs;
      if (!isTooMuch && spool.queuedBytes() <= queueBytesHigh) return;
      stream.pause();
      setTimeout(resume, isTooMuch ? Math.max(windowEndMs - endMs, 1) : recheckMs);
    });
    stream.once('close', () => {
      framer.end();
      resolve();
    });
  });
}
