// The story of the demo: one instance from its start to the proof of its end. Every claim it prints is something it
// has just seen; what it does not see is a failure.
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import type { Transport } from '@modelcontextprotocol/sdk/shared/transport.js';
import type { EventView, InstanceView, InstanceWithToken, LogLineView, PortView } from '../api/contract.ts';
import { monotonicMs, sleep } from '../base/clock.ts';
import { Fault, messageOf } from '../base/errors.ts';
import { clientConfig } from '../domain/client-config.ts';
import type { Api } from './client.ts';
import { logText } from './commands/logs.ts';
import { formatSpan } from './durations.ts';
import { oneLine, type Paint } from './output.ts';
import { formatSeconds, type Screen } from './screen.ts';

const leaseMinutes = 0.5;
/** How long after its end a lease may take to be over in every respect. */
const endMsMax = 20_000;

export interface Stage {
  readonly api: Api;
  readonly screen: Screen;
  readonly signal: AbortSignal;
  readonly paint: Paint;
}

/** What the demo saw; the document of --json. */
export interface Findings {
  url: string;
  tools: string[];
  echo: string;
  log_lines: number;
  status: string;
  port_free: boolean;
  url_dead: boolean;
  receipt: Record<string, unknown>;
  seconds: number;
}

/** Shows it. @throws Fault, ApiError when something is not as it should be */
export async function showLife(stage: Stage): Promise<Omit<Findings, 'seconds'>> {
  const { api, screen } = stage;
  screen.step('Asking for an instance of "everything", for 30 seconds …');
  const instance = await api.one<InstanceWithToken>('POST', '/instances', {
    body: { mcp_type: 'everything', duration_minutes: leaseMinutes },
    waitS: 30,
  });
  const deadlineMs = monotonicMs() + Date.parse(instance.expires_at) - Date.parse(instance.server_time);
  if (instance.status !== 'running') {
    throw new Fault(
      'start_failed',
      `it is ${instance.status}: ${instance.error_message ?? 'no reason given'}`,
    );
  }
  screen.say(`${instance.name} is running, process ${instance.process_id}, isolation ${instance.isolation}`);
  screen.say(`one URL    ${instance.access_url}\none token  ${instance.access_token}`);

  screen.step('Connecting with the official MCP client …');
  const called = await callTools(instance);
  screen.say(`${called.server}: ${called.tools.length} tools (${called.tools.slice(0, 5).join(', ')}, …)`);
  screen.say(`echo → ${stage.paint('green', called.echo)}`);

  const snippet = clientConfig('cursor', {
    name: instance.name,
    url: instance.access_url,
    token: instance.access_token,
  });
  screen.step(`Ready to paste into a client; this is for ${snippet.title} (${snippet.where}):`);
  screen.say(snippet.content);

  screen.step('Its log, live, while the lease runs out …');
  const { ended, logLines } = await watchEnd(stage, instance, deadlineMs);
  screen.step('The lease is over. What is left of it?');
  const proof = await proveEnd(stage, instance, ended);
  return { url: instance.access_url, tools: called.tools, echo: called.echo, log_lines: logLines, ...proof };
}

async function callTools(
  instance: InstanceWithToken,
): Promise<{ readonly server: string; readonly tools: string[]; readonly echo: string }> {
  const client = new Client({ name: 'minimcp-demo', version: '1.0.0' });
  const transport = new StreamableHTTPClientTransport(new URL(instance.access_url), {
    requestInit: { headers: { Authorization: `Bearer ${instance.access_token}` } },
  });
  try {
    // The SDK's own types disagree about an optional field (exactOptionalPropertyTypes).
    await client.connect(transport as Transport);
    const { tools } = await client.listTools();
    const message = 'hello from a process of your own';
    const result = await client.callTool({ name: 'echo', arguments: { message } });
    const [content] = Array.isArray(result.content) ? result.content : [];
    const server = client.getServerVersion();
    return {
      server: `${server?.name ?? 'the server'} ${server?.version ?? ''}`.trim(),
      tools: tools.map((tool) => tool.name),
      echo: String(content?.text ?? ''),
    };
  } finally {
    await client.close();
  }
}

/** Shows log lines and the countdown until the instance is at rest. */
async function watchEnd(
  stage: Stage,
  instance: InstanceView,
  deadlineMs: number,
): Promise<{ readonly ended: InstanceView; readonly logLines: number }> {
  const over = new AbortController();
  const end = AbortSignal.any([stage.signal, over.signal]);
  const since = { since: instance.created_at };
  let logLines = 0;
  const following = (async () => {
    for await (const event of stage.api.follow(`/instances/${instance.id}/logs/stream`, since, end)) {
      logLines += 1;
      stage.screen.say(logText(JSON.parse(event.data) as LogLineView, stage.paint));
    }
  })();
  try {
    for (;;) {
      const leftMs = deadlineMs - monotonicMs();
      if (leftMs < -endMsMax)
        throw new Fault('internal', `the lease ended ${formatSeconds(-leftMs)} ago, it did not`);
      stage.screen.tick(
        leftMs > 0 ? stage.paint('cyan', `${formatSpan(leftMs)} left`) : 'time is up: ending its processes …',
      );
      // The clock alone decides nothing: the daemon says when it is over.
      if (leftMs < 2_000) {
        const now = await stage.api.one<InstanceView>('GET', `/instances/${instance.id}`);
        if (now.status !== 'running' && now.status !== 'stopping') return { ended: now, logLines };
      }
      await sleep(leftMs > 2_000 ? 1_000 : 250, stage.signal);
    }
  } finally {
    over.abort();
    await following.catch((error: unknown) => stage.screen.say(`the log stream broke: ${messageOf(error)}`));
  }
}

async function proveEnd(
  stage: Stage,
  instance: InstanceView,
  ended: InstanceView,
): Promise<Pick<Findings, 'status' | 'port_free' | 'url_dead' | 'receipt'>> {
  const { api, screen, paint } = stage;
  const port = instance.assigned_port;
  const receipt = await eventually(stage, async () => {
    const { data } = await api.all<EventView>(`/instances/${instance.id}/events`);
    return data.find((event) => event.event_type === 'receipt');
  });
  const free = await eventually(stage, async () => {
    const { data } = await api.all<PortView>('/ports');
    return data.find((entry) => entry.port === port && entry.mcp_instance_id === null);
  });
  const answer = await fetch(instance.access_url, { method: 'POST' }).then(
    (response) => `it answers ${response.status}`,
    () => undefined,
  );
  const facts = {
    status: ended.status,
    port_free: free !== undefined,
    url_dead: answer === undefined,
    receipt: receipt?.event_data ?? {},
  };
  const mark = (good: boolean): string => (good ? paint('green', '✓') : paint('red', '✗'));
  screen.say(`${mark(ended.status === 'expired')} the instance is ${ended.status}`);
  screen.say(`${mark(facts.port_free)} port ${port} is ${facts.port_free ? 'free again' : 'still held'}`);
  screen.say(`${mark(facts.url_dead)} the URL: ${answer ?? 'nobody answers there any more'}`);
  screen.say(`${mark(receipt !== undefined)} the receipt: ${oneLine(JSON.stringify(facts.receipt))}`);
  if (ended.status !== 'expired' || !facts.port_free || !facts.url_dead || receipt === undefined) {
    throw new Fault('internal', 'the lease ended, but not everything of it is gone');
  }
  return facts;
}

/** Asks until there is an answer, for as long as an end may take. */
async function eventually<T>(stage: Stage, ask: () => Promise<T | undefined>): Promise<T | undefined> {
  const endMs = monotonicMs() + endMsMax;
  for (;;) {
    const found = await ask();
    if (found !== undefined || monotonicMs() > endMs) return found;
    await sleep(250, stage.signal);
  }
}
