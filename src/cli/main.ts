// The command line's entry, after bin/minimcp.js. Hands the process's own environment, streams and signals to the
// program: the one place of the CLI that touches them (process.env is read by daemon/config.ts; here it is only passed
// on).
import { readCliConfig } from '../daemon/config.ts';
import { ExitCode } from './exit-code.ts';
import { runCommandLine } from './program.ts';

const interruption = new AbortController();
for (const [signal, code] of [
  ['SIGINT', 130],
  ['SIGTERM', 143],
] as const) {
  // Once: a second one ends the process at once.
  process.once(signal, () => interruption.abort(new ExitCode(code)));
}
// Whoever read our output has had enough (`| head`): that is no failure.
process.stdout.on('error', (error: NodeJS.ErrnoException) => process.exit(error.code === 'EPIPE' ? 0 : 1));

process.exitCode = await runCommandLine(process.argv.slice(2), {
  config: readCliConfig(process.env),
  env: process.env,
  streams: { in: process.stdin, out: process.stdout, err: process.stderr },
  signal: interruption.signal,
});
// A paused standard input would otherwise keep the process.
process.stdin.unref?.();
