// `up`, `down`, `migrate`, `doctor`: the commands about the daemon itself. Its code is loaded only by those that need
// it: every other command is a client and starts fast.
import type { Command } from 'commander';
import { Fault } from '../../base/errors.ts';
import type { MigrateAction } from '../../daemon/migrate.ts';
import { type Answer, type Context, declare, type Surroundings } from '../context.ts';
import { isAlive, readDaemonFile } from '../daemon-file.ts';
import { endEverything, stopDaemon } from '../daemon-stop.ts';
import { ExitCode, exitCodes } from '../exit-code.ts';
import { wholeNumber } from '../numbers.ts';
import { oneLine, printable } from '../output.ts';

export function addDaemon(program: Command, surroundings: Surroundings): void {
  declare(program, surroundings, {
    usage: 'up',
    summary: 'run the daemon in the foreground',
    handler: async (context) => {
      const { runDaemon } = await daemonPart(() => import('../../daemon/main.ts'));
      // From here on the daemon takes signals itself; one that came before must not be lost.
      if (context.signal.aborted) throw context.signal.reason;
      const code = await runDaemon();
      if (code !== 0) throw new ExitCode(code);
      return undefined;
    },
  });
  declare<{ instances?: boolean }>(program, surroundings, {
    usage: 'down',
    summary: 'stop the daemon of this machine; instances go on',
    options: (command) => command.option('--instances', 'end every instance first'),
    handler: (context, options) => down(context, options.instances === true),
  });
  declare(program, surroundings, {
    usage: 'migrate [direction] [count]',
    summary: 'bring the database to this version; "migrate status" looks, "migrate down N" takes back',
    handler: migrate,
  });
  declare(program, surroundings, {
    usage: 'doctor',
    summary: 'check this machine and say how to mend what is wrong',
    handler: doctor,
  });
}

/**
 * Loads a part of the daemon. What instances must read it makes for everyone, and secrets for us alone, by modes that say
 * so: the umask of a hardened machine (077) would take the first away.
 */
function daemonPart<Part>(load: () => Promise<Part>): Promise<Part> {
  process.umask(0o022);
  return load();
}

async function down(context: Context, withInstances: boolean): Promise<Answer> {
  const daemon = await readDaemonFile(context.config.dataDir);
  if (daemon === undefined || !(await isAlive(daemon))) {
    return {
      document: { stopped: false, reason: 'not running' },
      text: `No daemon runs on ${context.config.dataDir}.`,
    };
  }
  const stop = async (): Promise<number> => {
    if (withInstances) return endEverything(context, daemon);
    await stopDaemon(daemon, context.signal);
    return 0;
  };
  const ended = await context.waiting('Waiting until the daemon has ended', stop);
  const count = ended === 1 ? '1 instance' : `${ended} instances`;
  const left = withInstances ? `, after ending ${count}` : '; instances go on';
  return {
    document: { stopped: true, pid: daemon.pid, instances_ended: ended },
    text: `The daemon (pid ${daemon.pid}) is down${left}.`,
  };
}

async function migrate(context: Context, _options: object, direction = '', count = ''): Promise<Answer> {
  const action = migrateAction(direction, count);
  if (action.kind === 'down') await refuseWhileRunning(context);
  const { migrateOnce } = await daemonPart(() => import('../../daemon/migrate.ts'));
  const result = await context.waiting('Migrating the database', () => migrateOnce(context.env, action));
  const changed = result.changed.join(', ');
  const lines = [
    ...(changed === '' ? [] : [`${action.kind === 'down' ? 'Taken back' : 'Applied'}: ${changed}`]),
    result.pending.length === 0
      ? 'The database is up to date.'
      : `Waiting to be applied: ${result.pending.join(', ')}`,
  ];
  return { document: result, text: lines.join('\n') };
}

function migrateAction(direction: string, count: string): MigrateAction {
  if (direction === 'down')
    return { kind: 'down', count: wholeNumber('migrate down', count === '' ? '1' : count) };
  if (count === '' && (direction === '' || direction === 'up')) return { kind: 'up' };
  if (count === '' && direction === 'status') return { kind: 'status' };
  throw new Fault('malformed_request', 'write "migrate", "migrate status" or "migrate down [COUNT]"');
}

/** Tables are not pulled away from under a daemon that uses them. */
async function refuseWhileRunning(context: Context): Promise<void> {
  const daemon = await readDaemonFile(context.config.dataDir);
  if (daemon === undefined || !(await isAlive(daemon))) return;
  throw new Fault(
    'illegal_in_status',
    `the daemon (pid ${daemon.pid}) runs: stop it first with "minimcp down"`,
  );
}

const marks = { ok: '✓', warn: '!', fail: '✗' } as const;
const markFormats = { ok: 'green', warn: 'yellow', fail: 'red' } as const;

async function doctor(context: Context): Promise<Answer> {
  const { examine } = await daemonPart(() => import('../../daemon/doctor.ts'));
  const checks = await context.waiting('Checking this machine', () => examine(context.env));
  const lines = checks.flatMap((check) => [
    `${context.paint(markFormats[check.state], marks[check.state])} ${check.name}: ${oneLine(check.detail)}`,
    ...(check.remedy === null ? [] : [`    ${printable(check.remedy).replaceAll('\n', '\n    ')}`]),
  ]);
  const failed = checks.filter((check) => check.state === 'fail').length;
  const warned = checks.filter((check) => check.state === 'warn').length;
  lines.push('', `${checks.length} checks, ${failed} failed, ${warned} to look at`);
  return {
    document: { ok: failed === 0, checks },
    text: lines.join('\n'),
    exitCode: failed === 0 ? exitCodes.done : exitCodes.failed,
  };
}
