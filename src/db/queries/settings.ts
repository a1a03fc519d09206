// Statements on system_settings. Values come and go as JSON; what they must be is checked in accounts/settings.ts.
import { z } from 'zod';
import type { Queryable } from '../pool.ts';

const rowSchema = z.object({
  key: z.string(),
  value: z.unknown(),
  description: z.string().nullable(),
  updated_at: z.date(),
});
export type SettingRow = z.infer<typeof rowSchema>;

export async function readSettings(q: Queryable): Promise<SettingRow[]> {
  const rows = await q.query('SELECT key, value, description, updated_at FROM system_settings ORDER BY key');
  return rows.map((row) => rowSchema.parse(row));
}

/** Locks every setting until the transaction ends: some are right only together. */
export async function lockSettings(q: Queryable): Promise<SettingRow[]> {
  const rows = await q.query(
    'SELECT key, value, description, updated_at FROM system_settings ORDER BY key FOR UPDATE',
  );
  return rows.map((row) => rowSchema.parse(row));
}

/** Writes a value, making the row if it is missing. */
export async function writeSetting(q: Queryable, key: string, value: unknown): Promise<SettingRow> {
  const rows = await q.query(
    `INSERT INTO system_settings (key, value) VALUES ($1, $2)
     ON CONFLICT (key) DO UPDATE SET value = excluded.value, updated_at = clock_timestamp()
     RETURNING key, value, description, updated_at`,
    [key, JSON.stringify(value)],
  );
  return rowSchema.parse(rows[0]);
}
