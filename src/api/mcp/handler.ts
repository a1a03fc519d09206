// What answers at /mcp, by the SDK: one server for one request, whose tools act for whoever made it.
import {
  type AuthInfo,
  createMcpHandler,
  ProtocolError,
  ProtocolErrorCode,
  Server,
} from '@modelcontextprotocol/server';
import type { Logger } from '../../base/log.ts';
import { type Exchange, runTool } from './run-tool.ts';
import { tools } from './tools.ts';

export type McpHandler = ReturnType<typeof createMcpHandler>;

export interface HandlerOptions {
  /** Of the daemon, for clients. */
  readonly version: string;
  readonly log: Logger;
  readonly subscriptionsMax: number;
}

/** Makes what answers; it expects the exchange among what the request is authorised with. */
export function createHandler({ version, log, subscriptionsMax }: HandlerOptions): McpHandler {
  return createMcpHandler((context) => serverOf(context.authInfo, version), {
    maxSubscriptions: subscriptionsMax,
    onerror: (error) => log.debug({ err: error }, 'a request to /mcp was refused'),
  });
}

const instructions =
  'MiniMCP gives its user MCP servers of their own, for a set time. list_types says what there is; ask_for_instance ' +
  'starts one and gives its URL and access token, with which you or your user connect to it; stop or remove what is ' +
  'no longer needed.';

/** One server for one request: its tools act for whoever made that request. */
function serverOf(authInfo: AuthInfo | undefined, version: string): Server {
  const exchange = authInfo?.extra?.exchange as Exchange;
  const server = new Server(
    { name: 'minimcp', title: 'MiniMCP', version },
    { capabilities: { tools: {} }, instructions },
  );
  server.setRequestHandler('tools/list', () => ({ tools: tools.map((tool) => tool.listed) }));
  server.setRequestHandler('tools/call', ({ params }) => {
    const tool = tools.find(({ name }) => name === params.name);
    if (tool === undefined)
      throw new ProtocolError(ProtocolErrorCode.InvalidParams, `there is no tool "${params.name}"`);
    return runTool(exchange, tool, params.arguments);
  });
  return server;
}
