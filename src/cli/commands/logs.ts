// `logs`: what an instance wrote, and with -f what it writes from now on, across restarts of the daemon. Ctrl-C ends
// following without an error. With --json the lines are one array; followed, one document a line.
import { type Command, Option } from 'commander';
import type { LogLineView } from '../../api/contract.ts';
import { nowMs } from '../../base/clock.ts';
import { type Answer, type Context, declare, type Surroundings } from '../context.ts';
import { parseMinutes } from '../durations.ts';
import { wholeNumber } from '../numbers.ts';
import { type Paint, printable } from '../output.ts';
import { resolveInstance } from '../resolve.ts';

interface LogsOptions {
  follow?: boolean;
  since?: string;
  level?: string;
  source?: string;
  limit: string;
}

export function addLogs(program: Command, surroundings: Surroundings): void {
  declare<LogsOptions>(program, surroundings, {
    usage: 'logs <id>',
    summary: 'what an instance wrote',
    options: (command) =>
      command
        .option('-f, --follow', 'go on with what it writes from now on')
        .option('--since <duration>', 'only from this long ago on: 10m, 1h')
        .addOption(
          new Option('--level <level>', 'this level and above').choices(['debug', 'info', 'warn', 'error']),
        )
        .addOption(new Option('--source <source>', 'only from here').choices(['process', 'system', 'api']))
        .option('-n, --limit <lines>', 'at most so many of the last lines', '100'),
    handler: logs,
  });
}

async function logs(context: Context, options: LogsOptions, wish = ''): Promise<Answer | undefined> {
  const query = {
    since:
      options.since === undefined
        ? undefined
        : new Date(nowMs() - parseMinutes(options.since) * 60_000).toISOString(),
    level: options.level,
    source: options.source,
  };
  const id = await resolveInstance(context.api, wish);
  if (options.follow !== true) {
    const { data } = await context.api.all<LogLineView>(
      `/instances/${id}/logs`,
      query,
      wholeNumber('--limit', options.limit),
    );
    const lines = inOrder(data);
    return { document: lines, text: lines.map((line) => logText(line, context.paint)).join('\n') };
  }
  for await (const event of context.api.follow(`/instances/${id}/logs/stream`, query, context.signal)) {
    const line = JSON.parse(event.data) as LogLineView;
    context.streams.out.write(`${context.json ? JSON.stringify(line) : logText(line, context.paint)}\n`);
  }
  return undefined;
}

/** Oldest first, as a log is read, whichever way the pages came. */
function inOrder(lines: readonly LogLineView[]): LogLineView[] {
  const first = lines[0];
  const last = lines.at(-1);
  return first !== undefined && last !== undefined && first.timestamp > last.timestamp
    ? [...lines].reverse()
    : [...lines];
}

const levelFormats = { debug: 'dim', info: 'cyan', warn: 'yellow', error: 'red' } as const;

/** `10:05:17.120 warn  process  message` */
export function logText(line: LogLineView, paint: Paint): string {
  const time = line.timestamp.slice(11, 23);
  const level = paint(levelFormats[line.level], line.level.padEnd(5));
  const source = paint('dim', line.source.padEnd(7));
  return `${paint('dim', time)} ${level} ${source} ${printable(line.message)}`;
}
