// The settings of the whole installation: what each key must be, read live, changed with an event that says before and
// after. It refuses unknown keys and wrong values; a row that is missing or was spoilt by hand counts as the default.
import { z } from 'zod';
import { monotonicMs } from '../base/clock.ts';
import { Fault, fieldFault } from '../base/errors.ts';
import type { Db, Tx } from '../db/pool.ts';
import { insertEvent } from '../db/queries/events.ts';
import { listNodes } from '../db/queries/node-views.ts';
import { seedPorts } from '../db/queries/ports.ts';
import { lockSettings, readSettings, type SettingRow, writeSetting } from '../db/queries/settings.ts';
import { isolationLevels } from '../domain/instance.ts';
import type { Actor } from '../instances/types.ts';

const port = z.int().min(3001).max(65_535);
const days = z.int().min(1).max(3_650);

/** Every key with what it must be and what it is when nobody said. */
export const settingSchemas = {
  'encryption.algorithm': z.literal('aes-256-gcm').default('aes-256-gcm'),
  'mcp.default_duration_minutes': z.number().min(0.1).max(525_600).default(60),
  'mcp.max_instances_per_user': z.int().min(0).max(100_000).default(10),
  'mcp.max_creations_per_hour': z.int().min(0).max(1_000_000).default(600),
  'mcp.max_lease_minutes': z.number().min(0.1).max(5_256_000).default(1_440),
  'mcp.warn_before_minutes': z.number().min(0).max(1_440).default(5),
  'mcp.drain_seconds': z.number().min(0).max(300).default(5),
  'mcp.min_isolation': z.enum(isolationLevels).default('L0'),
  'cleanup.retention_days': days.default(30),
  'logs.max_mb_per_day': z.int().min(1).max(1_048_576).default(256),
  'port.range_start': port.default(3_001),
  'port.range_end': port.default(3_100),
  'process.max_memory_mb': z.int().min(16).max(1_048_576).default(512),
  'process.max_cpu_percent': z.number().min(1).max(100_000).default(50),
} as const;

type SettingKey = keyof typeof settingSchemas;
export type SettingValues = { readonly [Key in SettingKey]: z.output<(typeof settingSchemas)[Key]> };

/** How old a value may be that `get` gives, milliseconds. */
const cacheMs = 1_000;

export interface Settings {
  /** The value now, at most a second old. */
  get<Key extends SettingKey>(key: Key): Promise<SettingValues[Key]>;
  /** Every setting, as the database has it now. */
  all(): Promise<SettingRow[]>;
  /** Changes one: not_found for an unknown key, invalid_field for a value it may not have. */
  set(key: string, value: unknown, actor: Actor): Promise<SettingRow>;
}

export function createSettings(db: Db): Settings {
  let cached: { readonly values: SettingValues; readonly readMs: number } | undefined;
  let reading: Promise<SettingValues> | undefined;

  const read = async (): Promise<SettingValues> => {
    const startedMs = monotonicMs();
    const values = effectiveValues(await readSettings(db));
    cached = { values, readMs: startedMs };
    return values;
  };

  return {
    async get(key) {
      if (cached !== undefined && monotonicMs() - cached.readMs <= cacheMs) return cached.values[key];
      // Many may ask at once; one statement answers them all.
      reading ??= read().finally(() => {
        reading = undefined;
      });
      return (await reading)[key];
    },
    all: () => readSettings(db),
    async set(key, value, actor) {
      const checked = checkSetting(key, value);
      const row = await db.tx((tx) => change(tx, checked, actor));
      cached = undefined;
      return row;
    },
  };
}

function isSettingKey(key: string): key is SettingKey {
  return Object.hasOwn(settingSchemas, key);
}

/** What the rows amount to: each value if it is right, else its default. */
export function effectiveValues(rows: readonly Pick<SettingRow, 'key' | 'value'>[]): SettingValues {
  const stored = new Map(rows.map((row) => [row.key, row.value]));
  const entries = Object.entries(settingSchemas).map(([key, schema]) => {
    const parsed = schema.safeParse(stored.get(key));
    return [key, parsed.success ? parsed.data : schema.parse(undefined)];
  });
  return Object.fromEntries(entries) as SettingValues;
}

function checkSetting(key: string, value: unknown): { readonly key: SettingKey; readonly value: unknown } {
  if (!isSettingKey(key)) throw new Fault('not_found', `there is no setting "${key}"`);
  const parsed = settingSchemas[key].safeParse(value ?? null);
  if (parsed.success) return { key, value: parsed.data };
  const wanted = parsed.error.issues.map((issue) => issue.message).join('; ');
  throw fieldFault('invalid_field', '/value', `${key}: ${wanted}`);
}

async function change(
  tx: Tx,
  wish: { readonly key: SettingKey; readonly value: unknown },
  actor: Actor,
): Promise<SettingRow> {
  const rows = await lockSettings(tx);
  const before = rows.find((row) => row.key === wish.key)?.value ?? null;
  const after = effectiveValues([...rows.filter((row) => row.key !== wish.key), wish]);
  refuseTogether(after);
  const row = await writeSetting(tx, wish.key, wish.value);
  if (wish.key === 'port.range_start' || wish.key === 'port.range_end') await widenPools(tx, after);
  await insertEvent(tx, {
    instanceId: null,
    userId: null,
    actorId: actor.userId,
    type: 'setting_changed',
    data: { key: wish.key, before, after: wish.value },
    ip: actor.ip,
    userAgent: actor.userAgent,
  });
  return row;
}

/** Values that are right alone and wrong together. */
function refuseTogether(values: SettingValues): void {
  const [start, end] = [values['port.range_start'], values['port.range_end']];
  if (start <= end) return;
  throw fieldFault(
    'invalid_field',
    '/value',
    `port.range_start (${start}) must not be above port.range_end (${end}); change the other one first`,
  );
}

/** Gives every node the ports its pool lacks. Ports outside a narrowed range stay, unused, until they are free. */
async function widenPools(tx: Tx, values: SettingValues): Promise<void> {
  const nodes = await listNodes(tx, { afterId: null, limit: 10_000 });
  for (const node of nodes) {
    await seedPorts(tx, node.id, values['port.range_start'], values['port.range_end']);
  }
}
