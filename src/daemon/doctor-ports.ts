// What doctor finds out about ports: the API's own, and the pool that instances are given. It listens for a moment to
// learn whether it could.
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { findPortHolder } from '../runtime/port-holder.ts';
import type { Config } from './config.ts';
import type { Check } from './doctor-check.ts';

/** Whether the API's port can be had, or is held by the daemon of this data directory. */
export async function checkApiPort(config: Config): Promise<Check> {
  const name = 'API port';
  const detail = `${config.host}:${config.port}`;
  if (config.port === 0) return { name, state: 'ok', detail: 'any free port', remedy: null };
  const refused = await tryListen(config.host, config.port);
  if (refused === undefined) return { name, state: 'ok', detail: `${detail} is free`, remedy: null };
  if (refused === 'EADDRINUSE') {
    const ours = await runningDaemonUrl(config.dataDir);
    if (ours !== undefined && Number(new URL(ours).port) === config.port) {
      return { name, state: 'ok', detail: `${detail}, held by the daemon that runs`, remedy: null };
    }
    const holder = findPortHolder(config.port);
    // Perhaps a daemon of ours that is still starting, or answers nobody: its name says so.
    const who = holder === undefined ? 'another program' : `process ${holder.pid} (${holder.command})`;
    const remedy = `Wait for it if it is a MiniMCP that starts; end it, or set MINIMCP_PORT. "ss -ltnp 'sport = :${config.port}'" shows it.`;
    return { name, state: 'fail', detail: `${detail} is taken by ${who}`, remedy };
  }
  const remedy = 'Set MINIMCP_HOST to an address of this machine, and MINIMCP_PORT to 1024 or higher.';
  return { name, state: 'fail', detail: `${detail} cannot be listened on (${refused})`, remedy };
}

/** The URL in daemon.json when a MiniMCP answers there. */
async function runningDaemonUrl(dataDir: string): Promise<string | undefined> {
  try {
    const file: unknown = JSON.parse(await readFile(join(dataDir, 'daemon.json'), 'utf8'));
    if (typeof file !== 'object' || file === null || !('url' in file) || typeof file.url !== 'string')
      return undefined;
    const answer = await fetch(`${file.url}/healthz`, { signal: AbortSignal.timeout(2_000) });
    return answer.ok ? file.url : undefined;
  } catch {
    return undefined;
  }
}

/** Whether the pool collides with the ports the kernel gives to outgoing connections, or with other programs. */
export async function checkPoolPorts(config: Config): Promise<Check> {
  const name = 'pool of ports';
  const { from, to } = config.portRange;
  const detail = `${from}-${to} on ${config.instanceHost}`;
  const ephemeral = await ephemeralRange();
  if (ephemeral !== undefined && from <= ephemeral.to && to >= ephemeral.from) {
    const remedy =
      `The kernel hands ${ephemeral.from}-${ephemeral.to} to outgoing connections: set MINIMCP_PORT_RANGE below it, ` +
      `or reserve the range: sysctl -w net.ipv4.ip_local_reserved_ports=${from}-${to}`;
    return { name, state: (await isReserved(from, to)) ? 'ok' : 'warn', detail, remedy };
  }
  const taken = await takenPorts(config);
  if (taken.length === 0) return { name, state: 'ok', detail, remedy: null };
  const all = taken.length === to - from + 1;
  return {
    name,
    state: all ? 'fail' : (await runningDaemonUrl(config.dataDir)) === undefined ? 'warn' : 'ok',
    detail: `${detail}, ${taken.length} in use now`,
    remedy: `In use: ${taken.slice(0, 10).join(', ')}${taken.length > 10 ? ' …' : ''}. Those of others are passed over; widen MINIMCP_PORT_RANGE if it gets tight.`,
  };
}

async function takenPorts(config: Config): Promise<number[]> {
  const { from, to } = config.portRange;
  const taken: number[] = [];
  // One after the other: a thousand sockets at once would be a check that breaks what it checks.
  for (let port = from; port <= Math.min(to, from + 1_000); port += 1) {
    if ((await tryListen(config.instanceHost, port)) !== undefined) taken.push(port);
  }
  return taken;
}

/** @returns the system's error code, or undefined when it worked */
function tryListen(host: string, port: number): Promise<string | undefined> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
    server.listen({ host, port, exclusive: true }, () => server.close(() => resolve(undefined)));
  });
}

async function ephemeralRange(): Promise<{ readonly from: number; readonly to: number } | undefined> {
  const text = await readFile('/proc/sys/net/ipv4/ip_local_port_range', 'utf8').catch(() => undefined);
  const [from, to] = (text ?? '').trim().split(/\s+/).map(Number);
  return from === undefined || to === undefined || Number.isNaN(from) ? undefined : { from, to };
}

/** Whether one reserved range of the kernel covers the pool. */
async function isReserved(from: number, to: number): Promise<boolean> {
  const text = await readFile('/proc/sys/net/ipv4/ip_local_reserved_ports', 'utf8').catch(() => '');
  return text
    .trim()
    .split(',')
    .map((part) => part.split('-').map(Number))
    .some(([low = 0, high = low]) => low <= from && high >= to);
}
