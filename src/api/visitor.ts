// Speaks MCP to one running instance for whoever tries its tools through the API. What it talks to is a stranger's
// program: time, bytes and pages are bounded, no redirect is followed, no schema of it is compiled, and what it asks of
// its client (sampling, elicitation) is declined.
import {
  Client,
  type FetchLike,
  ProtocolError,
  type RequestOptions,
  SdkError,
  SdkErrorCode,
  StreamableHTTPClientTransport,
  type Tool,
} from '@modelcontextprotocol/client';
import { Fault, messageOf } from '../base/errors.ts';
import type { ToolResultView } from './contract.ts';

export interface Entrance {
  readonly url: string;
  readonly token: string;
}

export interface VisitBounds {
  /** From the first byte to the last answer. */
  readonly talkMs: number;
  /** For taking back what was asked and ending the session. */
  readonly farewellMs: number;
  /** Everything the instance says. */
  readonly bytesMax: number;
  readonly toolsMax: number;
  readonly pagesMax: number;
}

/** With what the shim may take to let in and send away (2 × 4 s) a minute at most. */
export const visitBounds: VisitBounds = {
  talkMs: 50_000,
  farewellMs: 2_000,
  bytesMax: 4 * 1024 * 1024,
  toolsMax: 1_000,
  pagesMax: 100,
};

/** The tools of an instance, page after page, as many as `toolsMax`. @throws Fault instance_unreachable, instance_timeout */
export async function listToolsOf(
  entrance: Entrance,
  signal: AbortSignal,
  bounds: VisitBounds = visitBounds,
): Promise<Tool[]> {
  return talk(entrance, signal, bounds, async (client, options) => {
    if (client.getServerCapabilities()?.tools === undefined) return [];
    const tools: Tool[] = [];
    let cursor: string | undefined;
    for (let page = 0; page < bounds.pagesMax && tools.length < bounds.toolsMax; page += 1) {
      const params = cursor === undefined ? {} : { cursor };
      const answer = await client.request({ method: 'tools/list', params }, options);
      tools.push(...answer.tools);
      cursor = answer.nextCursor;
      if (cursor === undefined) break;
    }
    return tools.slice(0, bounds.toolsMax);
  });
}

/** Calls a tool. That it refuses, or its server does, is its result. @throws Fault instance_unreachable, instance_timeout */
export async function callToolOf(
  entrance: Entrance,
  call: { readonly name: string; readonly arguments: Record<string, unknown> },
  signal: AbortSignal,
  bounds: VisitBounds = visitBounds,
): Promise<ToolResultView> {
  return talk(entrance, signal, bounds, async (client, options) => {
    try {
      const { content, structuredContent, isError } = await client.callTool(call, options);
      return {
        content,
        ...(structuredContent === undefined ? {} : { structured_content: structuredContent }),
        is_error: isError === true,
      } as ToolResultView;
    } catch (error) {
      if (options.signal.aborted) throw error;
      if (error instanceof ProtocolError) return refusal(error.message);
      if (error instanceof SdkError && error.code === SdkErrorCode.UnsupportedResultType)
        return refusal('The tool asks its client for input, which is declined where it is only tried');
      throw error;
    }
  });
}

function refusal(text: string): ToolResultView {
  return { content: [{ type: 'text', text }], is_error: true };
}

type Options = RequestOptions & { readonly signal: AbortSignal };

/** One conversation, from the greeting to the end of its session. */
async function talk<T>(
  { url, token }: Entrance,
  asked: AbortSignal,
  bounds: VisitBounds,
  ask: (client: Client, options: Options) => Promise<T>,
): Promise<T> {
  const full = new AbortController();
  const signal = AbortSignal.any([asked, full.signal, AbortSignal.timeout(bounds.talkMs)]);
  const leaving = new AbortController();
  const transport = new StreamableHTTPClientTransport(new URL(url), {
    requestInit: { headers: { Authorization: `Bearer ${token}` } },
    fetch: boundedFetch(signal, leaving.signal, bounds, () => full.abort()),
    reconnectionOptions: {
      maxRetries: 0,
      initialReconnectionDelay: 1_000,
      maxReconnectionDelay: 1_000,
      reconnectionDelayGrowFactor: 1,
    },
  });
  const client = new Client(
    { name: 'minimcp', version: '1.0.0' },
    {
      versionNegotiation: { mode: 'auto' },
      inputRequired: { autoFulfill: false },
      jsonSchemaValidator: {
        getValidator: () => (data) => ({ valid: true, data: data as never, errorMessage: undefined }),
      },
    },
  );
  // Ours is the time that counts.
  const options = { signal, timeout: bounds.talkMs * 2 };
  try {
    await client.connect(transport, options);
    return await ask(client, options);
  } catch (error) {
    if (full.signal.aborted)
      throw new Fault('instance_unreachable', `what it answers is over ${bounds.bytesMax} bytes`);
    if (signal.aborted) throw new Fault('instance_timeout', `no answer within ${bounds.talkMs / 1_000} s`);
    throw new Fault('instance_unreachable', reasonOf(error));
  } finally {
    leaving.abort();
    await transport.terminateSession().catch(() => {});
    await client.close().catch(() => {});
  }
}

/** What goes out once the talk is over has a little time of its own: the cancellation, and the end of the session. */
function boundedFetch(
  talking: AbortSignal,
  leaving: AbortSignal,
  bounds: VisitBounds,
  onFull: () => void,
): FetchLike {
  let bytes = 0;
  return async (url, init = {}) => {
    const isOver = talking.aborted || leaving.aborted;
    const end = isOver ? AbortSignal.timeout(bounds.farewellMs) : talking;
    const signal = init.signal ? AbortSignal.any([init.signal, end]) : end;
    const response = await fetch(url, { ...init, signal, redirect: 'error' });
    if (response.body === null) return response;
    const counter = new TransformStream<Uint8Array, Uint8Array>({
      transform(chunk, controller) {
        bytes += chunk.byteLength;
        if (bytes <= bounds.bytesMax) return controller.enqueue(chunk);
        onFull();
        controller.error(new Error('too much'));
      },
    });
    const { status, statusText, headers } = response;
    return new Response(response.body.pipeThrough(counter), { status, statusText, headers });
  };
}

/** Why there was no answer, in a few words: they may be the instance's own. */
function reasonOf(error: unknown): string {
  const cause = error instanceof Error && error.cause instanceof Error ? ` (${error.cause.message})` : '';
  return `${messageOf(error)}${cause}`.slice(0, 500);
}
