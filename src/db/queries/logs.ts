// Statements on mcp_logs: what a stored line is, which is the newest, and the COPY that stores. How lines are read is in
// log-looks.ts. Nothing here changes a stored line.
import { pipeline } from 'node:stream/promises';
import { from as copyFrom } from 'pg-copy-streams';
import { z } from 'zod';
import type { Queryable, Tx } from '../pool.ts';

export const logLevels = ['debug', 'info', 'warn', 'error'] as const;
export type LogLevel = (typeof logLevels)[number];
export const logSources = ['process', 'system', 'api'] as const;
export type LogSource = (typeof logSources)[number];

export const logRowSchema = z.object({
  id: z.string(),
  timestamp: z.date(),
  level: z.enum(logLevels),
  source: z.enum(logSources),
  seq: z.number(),
  message: z.string(),
  metadata: z.record(z.string(), z.unknown()),
  // Dates of the driver lose microseconds; a cursor must not.
  sort_key: z.string(),
});
export type LogRow = z.infer<typeof logRowSchema>;

/** The id of the line of an instance that was stored last. */
export async function newestLogIdOf(q: Queryable, instanceId: string): Promise<string | undefined> {
  const rows = await q.query<{ id: string }>(
    'SELECT id FROM mcp_logs WHERE mcp_instance_id = $1 ORDER BY id DESC LIMIT 1',
    [instanceId],
  );
  return rows[0]?.id;
}

/** About the largest id there is: that of the newest lines of all instances. */
export async function newestLogId(q: Queryable): Promise<string | undefined> {
  const rows = await q.query<{ id: string }>(
    'SELECT id FROM (SELECT id FROM mcp_logs ORDER BY timestamp DESC LIMIT 1000) AS newest ORDER BY id DESC LIMIT 1',
  );
  return rows[0]?.id;
}

/** Columns of the COPY, in the order rows are written in. */
const copied = 'id, mcp_instance_id, timestamp, level, source, message, metadata, seq';

/** Stores blocks of rows in the text format of COPY, each row ending in a newline. All of them or, with an error, none. */
export async function copyLogs(tx: Tx, chunks: Iterable<Buffer>): Promise<void> {
  await pipeline(chunks, tx.client.query(copyFrom(`COPY mcp_logs (${copied}) FROM STDIN`)));
}

/** Channel on which the ids of instances with new lines are announced. */
export const logChannel = 'minimcp_logs';

/** A notification carries at most 8000 bytes: this many ids, joined by commas. */
const idsPerNote = 200;

/** Announces, at commit, that these instances have new lines. */
export async function notifyLogs(q: Queryable, instanceIds: readonly string[]): Promise<void> {
  const notes: string[] = [];
  for (let at = 0; at < instanceIds.length; at += idsPerNote) {
    notes.push(instanceIds.slice(at, at + idsPerNote).join(','));
  }
  await q.query(`SELECT pg_notify('${logChannel}', note) FROM unnest($1::text[]) AS note`, [notes]);
}
