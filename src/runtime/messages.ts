// What is believed of what others wrote: state files in a bundle and messages of a shim, checked field by field. A
// shim may be newer than this supervisor, so fields it does not know are ignored; what does not fit is refused.
import { z } from 'zod';
import { isolationLevels, stopReasons } from '../domain/instance.ts';
import { eras } from '../domain/server-type.ts';
import type { ControlNews, ControlReply, ExitRecord, ShimState } from '../shim/contract.ts';
import type { Limits } from './driver.ts';

const count = z.int().min(0);
const generation = z.int().min(1).max(2_147_483_647);
const text = (lengthMax: number) => z.string().max(lengthMax);

const limitsSchema = z.object({
  memoryBytesMax: count,
  cpuPercentMax: count,
  processesMax: count,
  openFilesMax: count,
  diskBytesMax: count,
}) satisfies z.ZodType<Limits>;

/** What the launcher wrote down about a generation. The first fields prove who the shim is. */
export const bundleRecordSchema = z.object({
  instanceId: z.uuid(),
  generation,
  pid: z.int().min(2),
  startTicks: z.number().min(0),
  bootId: text(100),
  uid: count,
  port: z.int().min(1).max(65_535),
  isolation: z.enum(isolationLevels),
  limits: limitsSchema,
  /** Directories of its cgroups; empty where there are none. */
  cgroups: z.array(text(4_096)).max(8).default([]),
  /** The contract its shim speaks. Absent from records older than this field, which are of the first. */
  contract: count.default(1),
});
export type BundleRecord = z.infer<typeof bundleRecordSchema>;

export const exitRecordSchema = z.object({
  instanceId: z.uuid(),
  generation,
  reason: z.enum(stopReasons),
  exitCode: z.int().nullable(),
  signal: text(20).nullable(),
  lastLines: z.array(text(10_000)).max(100),
  restarts: count,
  wasReady: z.boolean(),
  at: text(50),
}) satisfies z.ZodType<ExitRecord>;

const stateSchema = z.object({
  contract: z.int(),
  instanceId: z.uuid(),
  generation,
  pid: z.int(),
  phase: z.enum(['starting', 'running', 'restarting', 'stopping']),
  childPid: z.int().nullable(),
  restarts: count,
  server: z
    .object({ name: text(1_000), version: text(1_000), protocolVersion: text(100) })
    .nullable()
    .catch(null),
  era: z.enum(eras).optional().catch(undefined),
  sessions: count,
  inFlight: count,
  requests: count,
  idleMs: z.number().nullable(),
  rssBytes: z.number().min(0),
  expiresAt: text(50).optional(),
  keyVersion: text(200).optional(),
  roll: z
    .object({
      version: text(200),
      phase: z.enum(['proving', 'draining', 'done', 'failed']),
      lastLines: z.array(text(10_000)).max(100),
    })
    .optional()
    .catch(undefined),
}) satisfies z.ZodType<ShimState>;

const id = z.int();
const replySchema = z.union([
  z.object({ id, state: stateSchema }),
  z.object({ id, error: z.object({ code: text(50), message: text(2_000) }) }),
]) satisfies z.ZodType<ControlReply>;

const newsSchema = z.union([
  z.object({ news: z.literal('state'), state: stateSchema }),
  z.object({ news: z.literal('spooled') }),
]) satisfies z.ZodType<ControlNews>;

export type ShimMessage = ControlReply | ControlNews;

/** One line of a shim, or undefined when it is none that we understand. */
export function readMessage(line: string): ShimMessage | undefined {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    return undefined;
  }
  const schema = typeof value === 'object' && value !== null && 'news' in value ? newsSchema : replySchema;
  return schema.safeParse(value).data;
}
