// Asks an MCP endpoint of ours for its tools, as a client of 2026-07-28: the bridge answers for servers of either era.
// What a stranger's server says is cut to a size that can be kept and shown.
import type { TrialTool } from '../domain/server-type.ts';

interface Endpoint {
  readonly url: string;
  readonly accessToken: string;
  readonly signal: AbortSignal;
}

const version = '2026-07-28';
const prefix = 'io.modelcontextprotocol/';
const answerMsMax = 10_000;
const pagesMax = 20;
const toolsKept = 100;
const answerBytesMax = 4 * 1024 * 1024;

type Json = Record<string, unknown>;

/** The tools of a server, the first hundred of them described. @throws when it does not answer, or with an error */
export async function listTools(endpoint: Endpoint): Promise<{ tools: TrialTool[]; total: number }> {
  const tools: TrialTool[] = [];
  let total = 0;
  let cursor: unknown;
  for (let page = 0; page < pagesMax; page += 1) {
    const result = await ask(endpoint, cursor === undefined ? {} : { cursor });
    const found = Array.isArray(result.tools) ? (result.tools as unknown[]) : [];
    total += found.length;
    tools.push(...found.flatMap(toolOf).slice(0, toolsKept - tools.length));
    cursor = result.nextCursor;
    if (typeof cursor !== 'string') break;
  }
  return { tools, total };
}

async function ask({ url, accessToken, signal }: Endpoint, params: Json): Promise<Json> {
  const _meta = {
    [`${prefix}protocolVersion`]: version,
    [`${prefix}clientInfo`]: { name: 'minimcp', version: '0.1.0' },
    [`${prefix}clientCapabilities`]: {},
  };
  const response = await fetch(url, {
    method: 'POST',
    headers: {
      authorization: `Bearer ${accessToken}`,
      'content-type': 'application/json',
      accept: 'application/json, text/event-stream',
      'mcp-protocol-version': version,
      'mcp-method': 'tools/list',
    },
    body: JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/list', params: { ...params, _meta } }),
    signal: AbortSignal.any([signal, AbortSignal.timeout(answerMsMax)]),
  });
  const text = await readBounded(response);
  const isStream = response.headers.get('content-type')?.startsWith('text/event-stream') === true;
  const documents = isStream ? [...text.matchAll(/^data: ?(.+)$/gm)].map(([, data]) => data ?? '') : [text];
  const answer = documents.map((document) => JSON.parse(document) as Json).find(({ id }) => id === 1);
  const { result, error } = answer ?? {};
  if (typeof result === 'object' && result !== null) return result as Json;
  // A server without tools says so by not knowing the method.
  if ((error as Json | undefined)?.code === -32_601) return {};
  throw new Error(
    `tools/list: ${String((error as Json | undefined)?.message ?? `status ${response.status}`)}`,
  );
}

async function readBounded(response: Response): Promise<string> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of response.body ?? []) {
    bytes += chunk.length;
    if (bytes > answerBytesMax) throw new Error('its list of tools is too large');
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

function toolOf(tool: unknown): TrialTool[] {
  const { name, title, description, annotations } = (tool ?? {}) as Json;
  if (typeof name !== 'string') return [];
  const hints = Object.entries((annotations ?? {}) as Json).filter(
    (entry): entry is [string, boolean] => typeof entry[1] === 'boolean',
  );
  return [
    {
      name: keepable(name, 128),
      title: typeof title === 'string' ? keepable(title, 200) : null,
      description: typeof description === 'string' ? keepable(description, 300) : null,
      annotations: Object.fromEntries(hints.slice(0, 10).map(([key, value]) => [keepable(key, 50), value])),
    },
  ];
}

/** Text of a stranger's server: cut, and without what PostgreSQL cannot keep. */
export function keepable(text: string, lengthMax: number): string {
  return text.slice(0, lengthMax).toWellFormed().replaceAll('\0', '\u{fffd}');
}
