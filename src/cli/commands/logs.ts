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
import { writeAll } from '../write-all.ts';

interface LogsOptions {
  follow?: boolean;
  since?: string;
  until?: string;
  level?: string;
  source?: string;
  grep?: string;
  limit: string;
  format?: 'ndjson' | 'csv';
}

export function addLogs(program: Command, surroundings: Surroundings): void {
  declare<LogsOptions>(program, surroundings, {
    usage: 'logs <id>',
    summary: 'what an instance wrote',
    options: (command) =>
      command
        .option('-f, --follow', 'go on with what it writes from now on')
        .option('--since <duration>', 'only from this long ago on: 10m, 1h')
        .addOption(new Option('--until <duration>', 'only up to this long ago').conflicts('follow'))
        .addOption(
          new Option('--level <level>', 'this level and above').choices(['debug', 'info', 'warn', 'error']),
        )
        .addOption(new Option('--source <source>', 'only from here').choices(['process', 'system', 'api']))
        .option('--grep <text>', 'only with this in the message, as it stands, whatever its case')
        .option('-n, --limit <lines>', 'at most so many of the last lines', '100')
        .addOption(
          new Option('--format <format>', 'export every line that matches, oldest first')
            .choices(['ndjson', 'csv'])
            .conflicts(['follow', 'json']),
        ),
    examples: [
      ['minimcp logs scratch', 'the last 100 lines'],
      ['minimcp logs scratch -f --level warn', 'warnings and errors as they come, until Ctrl-C'],
      ['minimcp logs scratch --grep "timed out"', 'the last 100 lines that say so'],
      ['minimcp logs scratch --format csv > scratch.csv', 'every line there is'],
    ],
    handler: logs,
  });
}

async function logs(context: Context, options: LogsOptions, wish = ''): Promise<Answer | undefined> {
  const query = {
    since: timeAgo(options.since),
    until: timeAgo(options.until),
    level: options.level,
    source: options.source,
    q: options.grep,
  };
  const id = await resolveInstance(context.api, wish);
  if (options.format !== undefined) {
    await writeAll(context, `/instances/${id}/logs/export`, { ...query, format: options.format });
    return undefined;
  }
  const limit = wholeNumber('--limit', options.limit);
  const { data } = await context.api.all<LogLineView>(`/instances/${id}/logs`, query, limit);
  // They come newest first, and are read oldest first.
  const lines = data.reverse();
  if (options.follow !== true) {
    return { document: lines, text: lines.map((line) => logText(line, context.paint)).join('\n') };
  }
  const write = (line: LogLineView): void => {
    context.streams.out.write(`${context.json ? JSON.stringify(line) : logText(line, context.paint)}\n`);
  };
  for (const line of lines) write(line);
  // Without a line to go on from, from the beginning: nothing of it was there a moment ago.
  const rest = lines.length > 0 || query.since !== undefined ? query : { ...query, since: beginning };
  const path = `/instances/${id}/logs/stream`;
  const onLost = (lost: boolean): void => {
    if (context.columns !== undefined)
      context.note(lost ? 'The daemon does not answer; waiting for it …' : 'It is back.');
  };
  for await (const event of context.api.follow(path, rest, context.signal, {
    fromId: lines.at(-1)?.id,
    onLost,
  })) {
    write(JSON.parse(event.data) as LogLineView);
  }
  return undefined;
}

function timeAgo(span: string | undefined): string | undefined {
  return span === undefined ? undefined : new Date(nowMs() - parseMinutes(span) * 60_000).toISOString();
}

const beginning = '1970-01-01T00:00:00Z';
const levelFormats = { debug: 'dim', info: 'cyan', warn: 'yellow', error: 'red' } as const;

/** `10:05:17.120 warn  process  message` */
export function logText(line: LogLineView, paint: Paint): string {
  const time = line.timestamp.slice(11, 23);
  const level = paint(levelFormats[line.level], line.level.padEnd(5));
  const source = paint('dim', line.source.padEnd(7));
  return `${paint('dim', time)} ${level} ${source} ${printable(line.message)}`;
}
