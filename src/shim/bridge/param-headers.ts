// Tool arguments that a tool wants mirrored into HTTP headers (x-mcp-header, 2026-07-28). A child on pipes sees no
// headers, so the comparison is the shim's. What it does not know of a tool it does not refuse: the declarations are
// learnt from the tools/list answers that pass by.
import type { IncomingHttpHeaders } from 'node:http';
import { type Document, wholeOf } from './document.ts';
import { decodeHeader } from './envelope.ts';
import { isObject, type Json, objectIn } from './messages.ts';
import type { Core, ParamHeader } from './state.ts';

/** Tools whose declarations are kept, declarations of one tool, and how deep they are looked for. */
const toolsMax = 1_000;
const headersMax = 32;
const depthMax = 8;

const token = /^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}$/;

/** Learns from an answer to tools/list. */
export function learnParamHeaders(core: Core, document: Document): void {
  const hasAny = document.bytes.includes('"x-mcp-header"');
  if (!hasAny && core.paramHeaders.size === 0) return;
  const tools = objectIn(wholeOf(document), 'result')?.tools;
  if (!Array.isArray(tools)) return;
  for (const tool of tools as unknown[]) {
    if (!isObject(tool) || typeof tool.name !== 'string' || tool.name.length > 1_024) continue;
    core.paramHeaders.delete(tool.name);
    const found: ParamHeader[] = [];
    if (hasAny) collect(tool.inputSchema, [], found);
    if (found.length > 0 && core.paramHeaders.size < toolsMax) core.paramHeaders.set(tool.name, found);
  }
}

function collect(schema: unknown, path: readonly string[], found: ParamHeader[]): void {
  const properties = objectIn(schema, 'properties');
  if (properties === undefined || path.length >= depthMax) return;
  for (const [name, property] of Object.entries(properties)) {
    if (!isObject(property) || found.length >= headersMax) continue;
    const header = property['x-mcp-header'];
    if (typeof header === 'string' && token.test(header))
      found.push({ header: `mcp-param-${header.toLowerCase()}`, path: [...path, name] });
    collect(property, [...path, name], found);
  }
}

/** Compares the headers of a tools/call with its arguments. @returns what is wrong, null when nothing is */
export function paramMismatch(core: Core, message: Json, headers: IncomingHttpHeaders): string | null {
  const params = message.params as Json | undefined;
  const declared = typeof params?.name === 'string' ? core.paramHeaders.get(params.name) : undefined;
  for (const { header, path } of declared ?? []) {
    const value = valueAt(params?.arguments, path);
    if (typeof value !== 'string' && typeof value !== 'number' && typeof value !== 'boolean') continue;
    const sent = headers[header];
    if (typeof sent !== 'string') return `Header mismatch: ${header} is missing`;
    const plain = decodeHeader(sent);
    if (plain === null) return `Header mismatch: ${header} is not valid Base64`;
    const isEqual = typeof value === 'number' ? isSameNumber(plain, value) : plain === String(value);
    if (!isEqual) return `Header mismatch: ${header} does not match the body`;
  }
  return null;
}

function isSameNumber(text: string, value: number): boolean {
  return /^-?\d+(\.\d+)?$/.test(text) && Number(text) === value;
}

function valueAt(root: unknown, path: readonly string[]): unknown {
  let node = root;
  for (const name of path) {
    if (!isObject(node) || !Object.hasOwn(node, name)) return undefined;
    node = node[name];
  }
  return node;
}
