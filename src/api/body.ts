// Reads JSON bodies, and refuses what would fail later and deeper: invalid UTF-8, nesting that overflows a stack,
// strings PostgreSQL cannot keep, numbers JSON cannot write back.
import { Fault, type FieldError } from '../base/errors.ts';
import { escapePointer } from './problems.ts';

const depthMax = 32;
const reportedMax = 20;

/** Parses a body. An empty one is undefined: whether that will do is the schema's to say. */
export function parseBody(bytes: Buffer): unknown {
  if (bytes.length === 0) return undefined;
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch (error) {
    throw new Fault('malformed_json', error instanceof SyntaxError ? error.message : 'the body is not UTF-8');
  }
  refuseUnkeepable(value);
  return value;
}

/** Throws for values the database or JSON cannot hold: malformed_request or invalid_field, naming where. */
export function refuseUnkeepable(value: unknown): void {
  const errors: FieldError[] = [];
  walk(value, '', 0, errors);
  const [first] = errors;
  if (first !== undefined) throw new Fault('invalid_field', `${first.pointer}: ${first.message}`, { errors });
}

function walk(value: unknown, pointer: string, depth: number, errors: FieldError[]): void {
  if (errors.length >= reportedMax) return;
  if (depth > depthMax)
    throw new Fault('malformed_request', `the body is nested deeper than ${depthMax} levels`);
  const wrong = typeof value === 'string' ? wrongText(value) : wrongNumber(value);
  if (wrong !== undefined) errors.push({ pointer, message: wrong });
  if (typeof value !== 'object' || value === null) return;
  for (const [key, item] of Object.entries(value)) {
    const at = `${pointer}/${escapePointer(key.toWellFormed())}`;
    const wrongKey = key === '__proto__' ? 'this name is not allowed' : wrongText(key);
    if (wrongKey !== undefined) errors.push({ pointer: at, message: wrongKey });
    else walk(item, at, depth + 1, errors);
  }
}

/** What is wrong with a text for PostgreSQL, or undefined. */
export function wrongText(text: string): string | undefined {
  if (text.includes('\0')) return 'must not contain NUL';
  return text.isWellFormed() ? undefined : 'must not contain a lone surrogate';
}

function wrongNumber(value: unknown): string | undefined {
  return typeof value === 'number' && !Number.isFinite(value) ? 'this number is too large' : undefined;
}
