// The demo: starts a daemon of its own, has the story told on it, ends it. On failure it says why, with the daemon's
// last lines; whatever happens, it cleans up.
import { monotonicMs } from '../base/clock.ts';
import { Fault } from '../base/errors.ts';
import { createApi } from './client.ts';
import type { Answer, Context } from './context.ts';
import { requestEnd } from './daemon-stop.ts';
import { type DemoDaemon, startDemoDaemon } from './demo-daemon.ts';
import { type Findings, type Stage, showLife } from './demo-life.ts';
import { canRedraw } from './output.ts';
import { createScreen, formatSeconds } from './screen.ts';

/** Runs it. @throws what went wrong, or the interruption */
export async function runDemo(context: Context): Promise<Answer> {
  const startedMs = monotonicMs();
  const out = context.json ? context.streams.err : context.streams.out;
  const screen = createScreen(out, {
    canRedraw: canRedraw(out, context.env),
    paint: context.paint,
    now: monotonicMs,
    everyMs: 5_000,
  });
  out.write(`${context.paint('bold', 'MiniMCP')}: an MCP server process of your own, for half a minute.\n`);
  screen.step('Starting the daemon, with a PostgreSQL of its own, in a temporary directory …');
  const daemon = await startDemoDaemon(context.env, context.signal);
  const over = new AbortController();
  const signal = AbortSignal.any([context.signal, over.signal]);
  let findings: Omit<Findings, 'seconds'>;
  try {
    screen.say(`ready at ${daemon.url} after ${formatSeconds(monotonicMs() - startedMs)}`);
    const api = createApi({ dataDir: daemon.dataDir }, signal);
    const stage: Stage = { api, screen, signal, paint: context.paint };
    findings = await Promise.race([showLife(stage), failWhenGone(daemon)]);
  } catch (error) {
    // The story may still be waiting for something that will not come.
    over.abort();
    if (context.signal.aborted) {
      screen.say('interrupted: ending everything …');
      // A second Ctrl-C would leave the daemon behind.
      for (const signal of ['SIGINT', 'SIGTERM'] as const)
        process.on(signal, () => screen.say('one moment …'));
    } else
      out.write(
        `\n${context.paint('bold', 'What the daemon last said:')}\n${daemon.lastLines().join('\n')}\n`,
      );
    await cleanUp(daemon);
    if (context.signal.aborted) throw context.signal.reason;
    throw error;
  }
  screen.step('Stopping the daemon and its database, removing the directory …');
  await cleanUp(daemon);
  const ms = monotonicMs() - startedMs;
  screen.say(`nothing is left behind. All of it took ${formatSeconds(ms)}.`);
  return { document: { ...findings, seconds: Math.round(ms / 100) / 10 }, text: '' };
}

async function cleanUp(daemon: DemoDaemon): Promise<void> {
  // A daemon that no longer answers cannot end its instances: closing finds what is left of them.
  const api = createApi({ dataDir: daemon.dataDir }, AbortSignal.timeout(5_000));
  const asked = await requestEnd(api).then(
    () => true,
    () => false,
  );
  await daemon.close(asked ? 'ending' : 'running');
}

async function failWhenGone(daemon: DemoDaemon): Promise<never> {
  throw new Fault('internal', `the daemon ${await daemon.gone}`);
}
