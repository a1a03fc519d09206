// The supervisor's own log: pino, JSON lines, or pretty on a terminal. Secrets are removed by path before anything
// is written; user log lines (of MCP servers) never pass here, they go through the spool.
import { type Logger, pino } from 'pino';

export type { Logger };

const redactedPaths = [
  'authorization',
  '*.authorization',
  'req.headers.authorization',
  'headers.authorization',
  'access_token',
  '*.access_token',
  'cookie',
  '*.cookie',
  'headers.cookie',
  'req.headers.cookie',
  'login_code',
  '*.login_code',
  'api_token',
  '*.api_token',
  'api_key',
  '*.api_key',
  'token',
  '*.token',
  'password',
  '*.password',
  'env',
  '*.env',
];

export interface LogOptions {
  readonly level: string;
  readonly pretty: boolean;
}

/** Makes the process's logger. Writes to standard output, synchronously enough to survive a crash. */
export function createLogger(options: LogOptions): Logger {
  const base = {
    level: options.level,
    redact: { paths: redactedPaths, censor: '[redacted]' },
    base: null,
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label: string) => ({ level: label }) },
  };
  if (!options.pretty) return pino(base, pino.destination({ fd: 1, sync: true }));
  return pino({
    ...base,
    transport: { target: 'pino-pretty', options: { ignore: 'pid,hostname', translateTime: 'HH:MM:ss' } },
  });
}
