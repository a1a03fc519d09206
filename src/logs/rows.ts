// One line of a spool as one row of COPY's text format. Pure. It refuses nothing: what PostgreSQL would not take is
// made harmless, and what is no line at all becomes a marker that says so.
import type { SpoolLine } from '../shim/contract.ts';

/** A line of a node's own spool says which instance it is about. */
export type NodeSpoolLine = SpoolLine & { readonly instance: string };

export interface RowContext {
  /** Instance of the spool; null: each line names its own. */
  readonly instanceId: string | null;
  readonly nextId: () => string;
  readonly nowMs: number;
}

export interface EncodedRow {
  readonly instanceId: string;
  readonly text: string;
  /** Time of the line, milliseconds. */
  readonly t: number;
  /** Lines that this one says were not kept. */
  readonly dropped: number;
}

const levels = new Set(['debug', 'info', 'warn', 'error']);
const sources = new Set(['process', 'system', 'api']);
const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;
const dayMs = 86_400_000;
/** A line whose time is further off than this had a broken clock: it gets ours, and keeps its own in metadata. */
const pastMsMax = 366 * dayMs;
const futureMsMax = dayMs;

/** The row of a line, or undefined when the text is none; `marker` makes one for that. */
export function encodeLine(text: string, context: RowContext): EncodedRow | undefined {
  try {
    return encode(JSON.parse(text) as Partial<NodeSpoolLine> | null, context);
  } catch {
    // No JSON, or nested deeper than the stack: whoever wrote it was no shim.
    return undefined;
  }
}

function encode(line: Partial<NodeSpoolLine> | null, context: RowContext): EncodedRow | undefined {
  if (typeof line !== 'object' || line === null || typeof line.msg !== 'string') return undefined;
  const instanceId = context.instanceId ?? ownerOf(line);
  if (instanceId === undefined) return undefined;
  const given = line.t;
  const sane =
    typeof given === 'number' && given > context.nowMs - pastMsMax && given < context.nowMs + futureMsMax;
  const t = sane ? Math.trunc(given) : context.nowMs;
  const meta = sane ? line.meta : { ...line.meta, clock_ms: given ?? null };
  const { level, source, seq } = line;
  // No object in between: this runs for every line there is.
  const text = row(
    context.nextId(),
    instanceId,
    t,
    level !== undefined && levels.has(level) ? level : 'info',
    source !== undefined && sources.has(source) ? source : 'process',
    line.msg,
    metadataText(meta),
    typeof seq === 'number' && Number.isSafeInteger(seq) && seq >= 0 ? seq : 0,
  );
  return { instanceId, t, text, dropped: source === 'system' ? droppedBy(line.meta) : 0 };
}

/** What a shim's drop marker counts. */
function droppedBy(meta: SpoolLine['meta']): number {
  const dropped = meta?.dropped;
  return typeof dropped === 'number' && Number.isSafeInteger(dropped) && dropped > 0 ? dropped : 0;
}

function ownerOf({ instance }: Partial<NodeSpoolLine>): string | undefined {
  return typeof instance === 'string' && uuid.test(instance) ? instance : undefined;
}

/** A row that stands where a line could not be kept. */
export function marker(
  context: RowContext & { readonly instanceId: string },
  message: string,
  meta: Readonly<Record<string, unknown>>,
): EncodedRow {
  const { instanceId, nowMs: t } = context;
  const text = row(context.nextId(), instanceId, t, 'warn', 'system', message, metadataText(meta), 0);
  return { instanceId, t, text, dropped: 1 };
}

/** The row that replaces one PostgreSQL refused: same place, number and source, without its content. */
export function replaceContent(text: string, reason: string): string {
  const [id, instanceId, time, , source, message = '', , seq] = text.split('\t');
  const meta = metadataText({ marker: 'refused', reason, message_chars: message.length });
  const said = 'a log line that the database refused is not kept';
  return [id, instanceId, time, 'warn', source, said, escaped(meta), seq].join('\t');
}

function row(
  id: string,
  instanceId: string,
  t: number,
  level: string,
  source: string,
  message: string,
  metadata: string,
  seq: number,
): string {
  const clean = message.includes('\0') ? message.replaceAll('\0', '\ufffd') : message;
  return `${id}\t${instanceId}\t${timeText(t)}\t${level}\t${source}\t${escaped(clean)}\t${escaped(metadata)}\t${seq}\n`;
}

let lastTime = -1;
let lastTimeText = '';

/** Many lines share their millisecond. */
function timeText(t: number): string {
  if (t !== lastTime) {
    lastTime = t;
    lastTimeText = new Date(t).toISOString();
  }
  return lastTimeText;
}

const special = /[\\\t\n\r]/;
const replacements: Readonly<Record<string, string>> = {
  '\\': '\\\\',
  '\t': '\\t',
  '\n': '\\n',
  '\r': '\\r',
};

function escaped(text: string): string {
  return special.test(text) ? text.replace(/[\\\t\n\r]/g, (char) => replacements[char] ?? char) : text;
}

/** Escapes in JSON text that may be a NUL or half of a character; jsonb takes neither. */
const suspicious = /\\u(0000|d[89a-f])/i;

function metadataText(meta: unknown): string {
  if (meta === undefined || meta === null || typeof meta !== 'object' || Array.isArray(meta)) return '{}';
  const text = JSON.stringify(meta);
  return suspicious.test(text) ? JSON.stringify(wellFormed(meta, 0)) : text;
}

function wellFormed(value: unknown, depth: number): unknown {
  if (typeof value === 'string') return value.toWellFormed().replaceAll('\0', '\ufffd');
  if (typeof value !== 'object' || value === null) return value;
  if (depth > 64) return null;
  if (Array.isArray(value)) return value.map((item) => wellFormed(item, depth + 1));
  return Object.fromEntries(
    Object.entries(value).map(([key, item]) => [
      wellFormed(key, depth) as string,
      wellFormed(item, depth + 1),
    ]),
  );
}
