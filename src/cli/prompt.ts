// Questions on a terminal and values from standard input. A secret is read without an echo; nothing is asked where
// nobody can answer.
import { createInterface } from 'node:readline';
import { Writable } from 'node:stream';
import { Fault } from '../base/errors.ts';
import type { Streams } from './context.ts';
import { isTerminal } from './output.ts';

const secretCharsMax = 65_536;

/**
 * A secret from standard input: typed without an echo on a terminal, else everything up to the end of input.
 * @throws Fault malformed_request when it is empty
 */
export async function readSecret(streams: Streams, question: string, signal: AbortSignal): Promise<string> {
  const text = isTerminal(streams.in)
    ? await ask(streams, question, signal, true)
    : await readAll(streams.in);
  const secret = text.replace(/\r?\n$/, '');
  if (secret === '') {
    throw new Fault(
      'malformed_request',
      'the value is empty: give it on standard input, or with --from-env VAR',
    );
  }
  return secret;
}

/**
 * Asks for a yes on a terminal.
 * @throws Fault malformed_request where there is nobody to ask
 */
export async function confirm(streams: Streams, question: string, signal: AbortSignal): Promise<boolean> {
  if (!isTerminal(streams.in)) {
    throw new Fault('malformed_request', 'nobody is here to say yes: add --yes to go ahead');
  }
  const answer = await ask(streams, `${question} [y/N] `, signal, false);
  return /^y(?:es)?$/i.test(answer.trim());
}

function ask(streams: Streams, question: string, signal: AbortSignal, hidden: boolean): Promise<string> {
  // readline echoes through its output: a secret gets one that swallows everything.
  const output = hidden ? new Writable({ write: (_chunk, _encoding, done) => done() }) : streams.err;
  const lines = createInterface({ input: streams.in, output, terminal: true });
  // Only now: what is typed before readline has the terminal would be echoed by the terminal itself.
  if (hidden) streams.err.write(question);
  return new Promise((resolve, reject) => {
    const onAbort = (): void => lines.close();
    signal.addEventListener('abort', onAbort, { once: true });
    let answer: string | undefined;
    lines.once('SIGINT', () => lines.close());
    lines.once('close', () => {
      signal.removeEventListener('abort', onAbort);
      if (hidden || answer === undefined) streams.err.write('\n');
      if (answer === undefined) reject(new Fault('malformed_request', 'no answer was given'));
      else resolve(answer);
    });
    lines.question(hidden ? '' : question, (line) => {
      answer = line;
      lines.close();
    });
  });
}

async function readAll(input: NodeJS.ReadableStream): Promise<string> {
  let text = '';
  input.setEncoding('utf8');
  for await (const chunk of input) {
    text += String(chunk);
    if (text.length > secretCharsMax) throw new Fault('malformed_request', 'the value is longer than 64 KiB');
  }
  return text;
}
