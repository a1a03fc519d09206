// The demo: what issue and README promise, shown on real parts. A daemon on an embedded database, one instance for
// half a minute, the official client, logs, the end of the lease and its proof. On failure it says why, with the
// daemon's last lines, and cleans up all the same.
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import type { Transport } from '@modelcontextprotocol/sdk/shared/transport.js';
import type { EventView, InstanceView, InstanceWithToken, LogLineView, PortView } from '../api/contract.ts';
import { monotonicMs, sleep } from '../base/clock.ts';
import { Fault, messageOf } from '../base/errors.ts';
import { clientConfig } from '../domain/client-config.ts';
import { type Api, createApi } from './client.ts';
import { logText } from './commands/logs.ts';
import type { Answer, Context } from './context.ts';
import { requestEnd } from './daemon-stop.ts';
import { type DemoDaemon, startDemoDaemon } from './demo-daemon.ts';
import { formatSpan } from './durations.ts';
import { oneLine } from './output.ts';
import { createScreen, type Screen } from './screen.ts';

const leaseMinutes = 0.5;
/** How long after its end a lease may take to be over in every respect. */
const endMsMax = 20_000;

interface Stage {
  readonly api: Api;
  readonly screen: Screen;
  readonly signal: AbortSignal;
  readonly paint: Context['paint'];
}

/** What the demo saw; the document of --json. */
interface Findings {
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

export async function runDemo(context: Context): Promise<Answer> {
  const startedMs = monotonicMs();
  const out = context.json ? context.streams.err : context.streams.out;
  const screen = createScreen(out, { paint: context.paint, now: monotonicMs, everyMs: 5_000 });
  out.write(`${context.paint('bold', 'MiniMCP')}: an MCP server process of your own, for half a minute.\n`);
  screen.step('Starting the daemon, with a PostgreSQL of its own, in a temporary directory …');
  const daemon = await startDemoDaemon(context.env, context.signal);
  let findings: Omit<Findings, 'seconds'>;
  try {
    screen.say(`ready at ${daemon.url} after ${formatSeconds(monotonicMs() - startedMs)}`);
    const api = createApi({ dataDir: daemon.dataDir }, context.signal);
    const stage: Stage = { api, screen, signal: context.signal, paint: context.paint };
    findings = await Promise.race([showLife(stage), failWhenGone(daemon)]);
  } catch (error) {
    if (context.signal.aborted) screen.say('interrupted: ending everything …');
    else
      out.write(
        `\n${context.paint('bold', 'What the daemon last said:')}\n${daemon.lastLines().join('\n')}\n`,
      );
    await cleanUp(daemon);
    if (context.signal.aborted) throw context.signal.reason;
    throw error;
  }
  screen.step('Stopping the daemon and its database, removing the directory …');
  await cleanUp(daemon);
  const ms = monotonicMs() - startedMs;
  screen.say(`nothing is left behind. All of it took ${formatSeconds(ms)}.`);
  return { document: { ...findings, seconds: Math.round(ms / 100) / 10 }, text: '' };
}

async function cleanUp(daemon: DemoDaemon): Promise<void> {
  // A daemon that no longer answers cannot end its instances: closing finds what is left of them.
  const api = createApi({ dataDir: daemon.dataDir }, AbortSignal.timeout(5_000));
  const asked = await requestEnd(api).then(
    () => true,
    () => false,
  );
  await daemon.close(asked ? 'ending' : 'running');
}

async function failWhenGone(daemon: DemoDaemon): Promise<never> {
  throw new Fault('internal', `the daemon ${await daemon.gone}`);
}

async function showLife(stage: Stage): Promise<Omit<Findings, 'seconds'>> {
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
  let logLines = 0;
  const following = (async () => {
    for await (const event of stage.api.follow(`/instances/${instance.id}/logs/stream`, {}, end)) {
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

function formatSeconds(ms: number): string {
  return `${(ms / 1_000).toFixed(1)} s`;
}
