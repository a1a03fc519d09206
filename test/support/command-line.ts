// The command line in this process, with streams and an environment of the test's own: what it wrote and how it ended.
import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { PassThrough, Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { runCommandLine } from '../../src/cli/program.ts';

export interface Given {
  readonly url?: string;
  readonly token?: string;
  readonly dataDir?: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly input?: string;
  /** Interrupts the command once it has written this. */
  readonly until?: string;
  /** Sees everything that was written to standard error so far. */
  readonly onError?: (text: string) => unknown;
  /** Both outputs are terminals so wide. */
  readonly columns?: number;
}

export interface Ended {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

/** A stream that says it is a terminal, and everything that was written to it. */
function output(columns: number | undefined): { stream: PassThrough; text: Promise<string> } {
  const stream = new PassThrough();
  if (columns !== undefined) Object.assign(stream, { isTTY: true, columns, rows: 24 });
  return { stream, text: text(stream) };
}

/** Runs one line; a list where an argument has spaces. */
export async function commandLine(line: string | readonly string[], given: Given = {}): Promise<Ended> {
  const out = output(given.columns);
  const err = output(given.columns);
  const stop = new AbortController();
  const { until } = given;
  let seen = '';
  for (const { stream } of until === undefined ? [] : [out, err]) {
    stream.on('data', (chunk) => {
      seen += chunk;
      if (seen.includes(until ?? '')) stop.abort();
    });
  }
  let said = '';
  err.stream.on('data', (chunk) => {
    said += chunk;
    given.onError?.(said);
  });
  const code = await runCommandLine(typeof line === 'string' ? line.split(' ') : line, {
    config: { url: given.url, token: given.token, dataDir: given.dataDir ?? '/nowhere' },
    env: given.env ?? {},
    streams: { in: Readable.from([given.input ?? '']), out: out.stream, err: err.stream },
    signal: stop.signal,
  });
  out.stream.end();
  err.stream.end();
  return { code, out: await out.text, err: await err.text };
}

/** A server of the test's own in the daemon's place. */
export async function standIn(
  listener: RequestListener,
): Promise<{ given: { url: string; token: string }; close(): Promise<void> }> {
  const server: Server = createServer(listener);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    given: { url: `http://127.0.0.1:${port}`, token: 'mmt_test' },
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
