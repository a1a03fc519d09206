// Speaks just enough MCP to a shim for a test that is about something else: one session, tool calls by hand.
import type { RunningShim } from './shim-harness.ts';

export interface Answer {
  readonly result?: { readonly content?: readonly { readonly text: string }[] };
  readonly error?: { readonly code: number; readonly message: string };
}

export type Call = (tool: string, input?: Record<string, unknown>) => Promise<Answer>;

/** Opens a session and returns what calls a tool in it. */
export async function openSession(shim: Pick<RunningShim, 'url' | 'token'>): Promise<Call> {
  const params = {
    protocolVersion: '2025-11-25',
    capabilities: {},
    clientInfo: { name: 'test', version: '1' },
  };
  const first = await post(shim, undefined, { jsonrpc: '2.0', id: 0, method: 'initialize', params });
  const session = first.headers.get('mcp-session-id') ?? undefined;
  if (!first.ok) throw new Error(`initialize: ${first.status} ${await first.text()}`);
  await first.text();
  await (await post(shim, session, { jsonrpc: '2.0', method: 'notifications/initialized' })).text();
  let id = 0;
  return async (tool, input = {}) => {
    id += 1;
    const message = { jsonrpc: '2.0', id, method: 'tools/call', params: { name: tool, arguments: input } };
    return readAnswer(await post(shim, session, message));
  };
}

/** The text a tool answered with. */
export function textOf(answer: Answer): string {
  return answer.result?.content?.[0]?.text ?? `error: ${answer.error?.message}`;
}

/** Sends one JSON-RPC message. */
function post(
  shim: Pick<RunningShim, 'url' | 'token'>,
  session: string | undefined,
  message: unknown,
): Promise<Response> {
  return fetch(shim.url, {
    method: 'POST',
    headers: {
      authorization: `Bearer ${shim.token}`,
      'content-type': 'application/json',
      accept: 'application/json, text/event-stream',
      'mcp-protocol-version': '2025-11-25',
      ...(session && { 'mcp-session-id': session }),
    },
    body: JSON.stringify(message),
  });
}

/** The response to a request, whether it came alone or as the last event of a stream. */
async function readAnswer(response: Response): Promise<Answer> {
  const text = await response.text();
  if (!response.headers.get('content-type')?.startsWith('text/event-stream'))
    return JSON.parse(text) as Answer;
  const events = text.split('\n').filter((line) => line.startsWith('data: {'));
  return JSON.parse(events.at(-1)?.slice('data: '.length) ?? 'null') as Answer;
}
