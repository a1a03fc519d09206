// The supervisor's program: reads the configuration, brings up the database, composes the rooms, and says "ready" when
// the API answers and recovery is done. SIGTERM and SIGINT stop it within 10 s and leave the shims running; a second
// signal exits at once. Exit codes: 0 done, 1 failed, 2 wrong use, 75 try again.
import { Fault, messageOf } from '../base/errors.ts';
import { createLogger, type Logger } from '../base/log.ts';
import { compose, type House } from './compose.ts';
import { type Config, readConfig } from './config.ts';

/** In the log, which keeps no secrets. */
const dashboardHint = '"minimcp dashboard" prints a link';

/** Longest a stop may take before the process exits anyway, milliseconds. */
const stopMsMax = 10_000;

/** Runs the supervisor until it is told to stop. @returns the exit code */
export async function runDaemon(env: NodeJS.ProcessEnv = process.env): Promise<number> {
  let config: Config;
  try {
    config = readConfig(env, process.stdout.isTTY === true);
  } catch (error) {
    process.stderr.write(`minimcp: ${messageOf(error)}\n`);
    return 2;
  }
  if (process.platform === 'win32') {
    process.stderr.write(
      'minimcp runs on Linux; macOS is for development. There is no supervisor for Windows.\n',
    );
    return 2;
  }
  const log = createLogger({ level: config.logLevel, pretty: config.pretty });
  try {
    return await runUntilStopped(config, log);
  } catch (error) {
    log.fatal({ err: error }, messageOf(error));
    return exitCodeOf(error);
  }
}

async function runUntilStopped(config: Config, log: Logger): Promise<number> {
  const stopping = new AbortController();
  let exitCode = 0;
  const onSignal = (signal: NodeJS.Signals): void => {
    if (stopping.signal.aborted) process.exit(exitCode === 0 ? 1 : exitCode);
    log.info({ signal }, 'stopping; instances go on running');
    stopping.abort();
  };
  process.on('SIGTERM', onSignal);
  process.on('SIGINT', onSignal);
  try {
    const house = await compose({
      config,
      log,
      onFenced: () => {
        log.fatal('another supervisor has taken over this node; this one ends and touches nothing more');
        process.exit(75);
      },
      requestStop: () => stopping.abort(),
    });
    try {
      await house.start();
      log.info({ url: house.url(), node: config.nodeId, dashboard: dashboardHint }, 'ready');
      if (config.pretty) await showDashboard(house);
      await aborted(stopping.signal);
    } catch (error) {
      exitCode = exitCodeOf(error);
      log.fatal({ err: error }, messageOf(error));
    } finally {
      // A room that hangs must not keep the process: what is unfinished is found again by recovery.
      setTimeout(() => process.exit(exitCode === 0 ? 1 : exitCode), stopMsMax).unref();
      await house.stop();
    }
  } finally {
    process.off('SIGTERM', onSignal);
    process.off('SIGINT', onSignal);
  }
  return exitCode;
}

/** Past the log: to the person in front of the terminal. */
async function showDashboard(house: House): Promise<void> {
  const link = await house.loginLink().catch(() => undefined);
  if (link !== undefined)
    process.stdout.write(`\n  dashboard: ${link}\n  (works once, within 10 minutes)\n\n`);
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
}

const tryAgain = ['node_held', 'database_unavailable'];

function exitCodeOf(error: unknown): number {
  if (!(error instanceof Fault)) return 1;
  if (error.code === 'config_invalid') return 2;
  return tryAgain.includes(error.code) ? 75 : 1;
}
