// An MCP server that stays in any state a test needs, and what is around it: it answers only while the file `go` is in
// its home, leaves when told by `leave`, and does not leave while `stay` is there. And the look at an instance from
// outside: its row, its processes, whether its URL serves.
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { InstanceView, InstanceWithToken } from '../../src/api/contract.ts';
import type { Instance } from '../../src/domain/instance.ts';
import { readProc, readProcess } from '../../src/runtime/process-identity.ts';
import { connectSdk } from './clients.ts';
import type { Answer, Daemon } from './daemon.ts';

/** The program; see above. */
export const gatedServer = `
  import { existsSync, rmSync } from 'node:fs';
  const has = (name) => existsSync(process.env.HOME + '/' + name);
  const held = [];
  const answer = ({ id, method }) => {
    const result = method === 'initialize'
      ? { protocolVersion: '2025-06-18', capabilities: { tools: {} }, serverInfo: { name: 'gated', version: '1.0.0' } }
      : method === 'tools/list' ? { tools: [] } : { content: [{ type: 'text', text: String(process.pid) }] };
    if (id !== undefined) process.stdout.write(JSON.stringify({ jsonrpc: '2.0', id, result }) + '\\n');
  };
  setInterval(() => {
    if (has('leave')) { rmSync(process.env.HOME + '/leave'); process.exit(0); }
    while (held.length > 0 && has('go')) answer(held.shift());
  }, 20);
  let text = '';
  process.stdin.on('data', (chunk) => {
    text += chunk;
    for (let end = text.indexOf('\\n'); end >= 0; end = text.indexOf('\\n')) {
      const message = JSON.parse(text.slice(0, end));
      text = text.slice(end + 1);
      if (has('go')) answer(message); else held.push(message);
    }
  });
  process.stdin.on('end', () => { if (!has('stay')) process.exit(0); });
  process.on('SIGTERM', () => { if (!has('stay')) process.exit(0); });`;

export type Gate = 'go' | 'leave' | 'stay';

/** Opens or shuts a gate of a gated server. */
export function gate(daemon: Pick<Daemon, 'dataDir'>, id: string, name: Gate, open = true): void {
  const path = join(daemon.dataDir, 'instances', id, 'home', name);
  if (open) writeFileSync(path, '');
  else rmSync(path, { force: true });
}

/** Asks the API without waiting for what comes of it. */
export async function ask<Data = InstanceView>(
  daemon: Pick<Daemon, 'url' | 'adminToken'>,
  method: string,
  path: string,
  body?: unknown,
  options: { readonly token?: string; readonly signal?: AbortSignal } = {},
): Promise<Answer<Data>> {
  const response = await fetch(`${daemon.url()}/api/v1${path}`, {
    method,
    headers: {
      authorization: `Bearer ${options.token ?? daemon.adminToken}`,
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    ...(options.signal === undefined ? {} : { signal: options.signal }),
  });
  const text = await response.text();
  const json = /json/.test(response.headers.get('content-type') ?? '') ? JSON.parse(text) : { data: text };
  return { status: response.status, headers: response.headers, body: json };
}

/** Asks for an instance; resolves as soon as it is written. */
export async function request(
  daemon: Pick<Daemon, 'url' | 'adminToken'>,
  body: Record<string, unknown>,
  token?: string,
): Promise<InstanceWithToken> {
  const answer = await ask<InstanceWithToken>(
    daemon,
    'POST',
    '/instances',
    body,
    token === undefined ? {} : { token },
  );
  if (answer.status >= 300)
    throw new Error(`create answered ${answer.status}: ${JSON.stringify(answer.body)}`);
  return answer.body.data;
}

/** The row, past the supervisor. */
export async function rowOf(daemon: Pick<Daemon, 'database'>, id: string): Promise<Instance> {
  const [row] = await daemon.database.db.query<Instance>('SELECT * FROM mcp_instances WHERE id = $1', [id]);
  if (row === undefined) throw new Error(`there is no row ${id}`);
  return row;
}

/** Waits until something holds of the row. @throws with the row after `ms` */
export async function untilRow(
  daemon: Pick<Daemon, 'database' | 'output'>,
  id: string,
  test: (row: Instance) => boolean,
  ms = 40_000,
): Promise<Instance> {
  for (const startedMs = performance.now(); ; await sleep(50)) {
    const row = await rowOf(daemon, id);
    if (test(row)) return row;
    if (performance.now() - startedMs > ms) {
      const { status, stop_reason, generation, health, assigned_port, error_message, handle, next_start_at } =
        row;
      const said = { status, stop_reason, generation, health, assigned_port, error_message, next_start_at };
      throw new Error(
        `not after ${ms} ms (${test}): ${JSON.stringify({ ...said, handle })}\n${daemon.output
          .slice(-6)
          .map((line) => line.slice(0, 300))
          .join('\n')}`,
      );
    }
  }
}

export interface Processes {
  readonly shim: number;
  /** Everything below the shim. */
  readonly children: readonly number[];
}

/** The shim in the row and what it has started; empty when it is gone. */
export function processesOf(row: Instance): Processes {
  const shim = (row.handle as { pid?: number } | null)?.pid ?? -1;
  return { shim, children: below(shim) };
}

/** All living descendants, asked of the kernel from parent to child: a look at every process would cost too much. */
function below(pid: number): number[] {
  const children = readProc(`/proc/${pid}/task/${pid}/children`)?.trim().split(' ').filter(Boolean) ?? [];
  return children.map(Number).flatMap((child) => (readProcess(child) ? [child, ...below(child)] : []));
}

/** Waits until the program itself is there, inside all that is around it. */
export async function untilChild(daemon: Pick<Daemon, 'database' | 'output'>, id: string): Promise<Instance> {
  const row = await untilRow(daemon, id, ({ handle }) => handle !== null);
  for (let tries = 0; tries < 1_200; tries += 1) {
    const { children } = processesOf(row);
    if (children.some((pid) => isProgram(pid))) return row;
    await sleep(25);
  }
  throw new Error(`instance ${id} has no child`);
}

/** Node itself, and not one of those that set limits and namespaces and become, or start, it. */
function isProgram(pid: number): boolean {
  const [command, ...args] = (readProc(`/proc/${pid}/cmdline`) ?? '').split('\0');
  return /\/node$/.test(command ?? '') && args.some((arg) => arg.endsWith('server.mjs'));
}

export function signalAll(pids: readonly number[], signal: NodeJS.Signals): void {
  for (const pid of pids) {
    try {
      if (pid > 1) process.kill(pid, signal);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
    }
  }
}

/** Whether a client is served at the instance's URL with its token, from connecting to the answer of a call. */
export async function serves(
  instance: Pick<InstanceWithToken, 'access_url' | 'access_token'>,
): Promise<boolean> {
  try {
    const client = await connectSdk(instance);
    try {
      await client.callTool({ name: 'any' }, undefined, { timeout: 5_000 });
      return true;
    } finally {
      await client.close();
    }
  } catch {
    return false;
  }
}

/** As `serves`, tried again for so long. */
export async function servesWithin(instance: Parameters<typeof serves>[0], ms: number): Promise<boolean> {
  for (const startedMs = performance.now(); performance.now() - startedMs < ms; await sleep(100))
    if (await serves(instance)) return true;
  return false;
}

/** Whether nobody listens at the instance's URL. */
export async function refusesConnections(accessUrl: string): Promise<boolean> {
  return fetch(accessUrl, { signal: AbortSignal.timeout(2_000) }).then(
    () => false,
    (error: Error) => /ECONNREFUSED|ECONNRESET/.test(String((error.cause as { code?: string })?.code)),
  );
}
