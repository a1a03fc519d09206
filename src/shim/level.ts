// How serious a log line is, read from the line itself. That it came over standard error says nothing: MCP servers
// may write nowhere else. What cannot be read is "info".
import type { SpoolLine } from './contract.ts';

export type Level = SpoolLine['level'];

const levelWords = new Map<string, Level>(
  Object.entries({
    trace: 'debug',
    debug: 'debug',
    verbose: 'debug',
    silly: 'debug',
    info: 'info',
    information: 'info',
    notice: 'info',
    log: 'info',
    warn: 'warn',
    warning: 'warn',
    error: 'error',
    err: 'error',
    fatal: 'error',
    critical: 'error',
    crit: 'error',
    alert: 'error',
    emerg: 'error',
    emergency: 'error',
    panic: 'error',
    severe: 'error',
  } as const),
);

const levelFields = ['level', 'severity', 'lvl', 'levelname', 'log.level'];

/** Longest line that is parsed as JSON only to learn its level. */
const jsonCharsMax = 16 * 1024;
/** How far into a line a level is looked for. */
const headCharsMax = 160;

/** Where a level may stand, the surest place first. Which words are levels is looked up: patterns of them all are slow. */
const places = [
  /[[(<]([a-z]+)[\])>]/gi,
  /^\W{0,4}(?:npm )?([a-z]+)(?:[!:]|\s+-\s)|^npm ([a-z]+)\b/gi,
  /\b(?:level|severity|lvl)=["']?([a-z]+)\b/gi,
  /(?<![A-Za-z0-9_])([A-Z]+)(?![A-Za-z0-9_])/g,
];
const thrown =
  /^(?:Uncaught |Unhandled )?(?:[A-Z]\w*)?(?:Error|Exception)\b|^Traceback \(most recent call last\)/;
const glog = /^([IWEF])\d{4} /;
const syslog = /^<([0-7])>/;

/** Reads the level of one line of text, escape sequences already removed. */
export function levelOf(line: string): Level {
  if (line.startsWith('{') && line.length <= jsonCharsMax) {
    const level = levelOfJson(line);
    if (level !== undefined) return level;
  }
  const head = line.length > headCharsMax ? line.slice(0, headCharsMax) : line;
  const numbered = syslog.exec(head);
  if (numbered) return levelOfSyslog(Number(numbered[1]));
  const letter = glog.exec(head)?.[1];
  if (letter) return letter === 'I' ? 'info' : letter === 'W' ? 'warn' : 'error';
  for (const place of places) {
    for (const [, word, npmWord] of head.matchAll(place)) {
      const level = levelWords.get((word ?? npmWord ?? '').toLowerCase());
      if (level !== undefined) return level;
    }
  }
  return thrown.test(head) ? 'error' : 'info';
}

function levelOfJson(line: string): Level | undefined {
  let parsed: Record<string, unknown>;
  try {
    parsed = JSON.parse(line);
  } catch {
    return undefined;
  }
  for (const field of levelFields) {
    const value = parsed[field];
    if (typeof value === 'number') return levelOfNumber(value);
    if (typeof value === 'string') {
      const level = levelWords.get(value.toLowerCase());
      if (level) return level;
    }
  }
  return undefined;
}

/** pino and bunyan count 10 (trace) to 60 (fatal); syslog and GELF 0 (emergency) to 7 (debug). */
function levelOfNumber(value: number): Level {
  if (value < 10) return levelOfSyslog(value);
  if (value < 30) return 'debug';
  if (value < 40) return 'info';
  return value < 50 ? 'warn' : 'error';
}

function levelOfSyslog(value: number): Level {
  if (value <= 3) return 'error';
  if (value === 4) return 'warn';
  return value >= 7 ? 'debug' : 'info';
}
