// What a modern message (2026-07-28) says of itself a second time, in HTTP headers: a client on pipes has none, the door of
// an instance wants them. Which tool arguments are mirrored is learnt from the tools/list answers that pass by.
import { isObject, type Json, type Message } from './messages.ts';

const versionKey = 'io.modelcontextprotocol/protocolVersion';

/** Where Mcp-Name finds its value. */
const nameSources: Readonly<Record<string, string>> = {
  'tools/call': 'name',
  'prompts/get': 'name',
  'resources/read': 'uri',
  'tasks/get': 'taskId',
  'tasks/update': 'taskId',
  'tasks/cancel': 'taskId',
};

const toolsMax = 1_000;
const depthMax = 8;

interface Mirrored {
  readonly header: string;
  readonly path: readonly string[];
}

/** The revision a message names in its envelope; undefined for a legacy one. */
export function versionOf({ params }: Message): string | undefined {
  const meta = params?._meta;
  const version = isObject(meta) ? meta[versionKey] : undefined;
  return typeof version === 'string' ? version : undefined;
}

export interface ModernHeaders {
  /** Of a message sent under that revision. */
  of(message: Message, version: string): Record<string, string>;
  /** Learns from an answer to tools/list. */
  learn(answer: Message): void;
}

export function createModernHeaders(): ModernHeaders {
  const mirrored = new Map<string, Mirrored[]>();
  return {
    of(message, version) {
      const { method = '', params } = message;
      const headers: Record<string, string> = { 'mcp-protocol-version': version, 'mcp-method': method };
      const name = params?.[nameSources[method] ?? ''];
      if (typeof name === 'string') headers['mcp-name'] = headerText(name);
      if (method !== 'tools/call') return headers;
      for (const { header, path } of mirrored.get(String(name)) ?? []) {
        const value = path.reduce<unknown>(
          (node, step) => (isObject(node) ? node[step] : undefined),
          params?.arguments,
        );
        if (typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean')
          headers[header] = headerText(String(value));
      }
      return headers;
    },
    learn({ result }) {
      const tools = isObject(result) && Array.isArray(result.tools) ? (result.tools as unknown[]) : [];
      for (const tool of tools) {
        if (!isObject(tool) || typeof tool.name !== 'string') continue;
        const found = collect(tool.inputSchema, []);
        mirrored.delete(tool.name);
        if (found.length > 0 && mirrored.size < toolsMax) mirrored.set(tool.name, found);
      }
    },
  };
}

function collect(schema: unknown, path: readonly string[]): Mirrored[] {
  const properties = isObject(schema) ? schema.properties : undefined;
  if (!isObject(properties) || path.length >= depthMax) return [];
  return Object.entries(properties as Record<string, Json>).flatMap(([name, property]) => {
    if (!isObject(property)) return [];
    const header = property['x-mcp-header'];
    const own = typeof header === 'string' && /^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}$/.test(header);
    return [
      ...(own ? [{ header: `mcp-param-${header.toLowerCase()}`, path: [...path, name] }] : []),
      ...collect(property, [...path, name]),
    ];
  });
}

/** As it is where a header can carry it, else wrapped as Base64. */
function headerText(text: string): string {
  const isPlain = /^[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?$/.test(text) && !/^=\?base64\?/i.test(text);
  return isPlain ? text : `=?base64?${Buffer.from(text).toString('base64')}?=`;
}
