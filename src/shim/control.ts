// The control socket: how a supervisor asks and tells its shim. One JSON document a line both ways; nothing that
// arrives here may end the shim: what cannot be read gets an error, what does not stop gets its connection closed.
// Supervisors are fenced: once a newer epoch has said hello, older ones are refused.
import { chmodSync, rmSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';
import { monotonicMs } from '../base/clock.ts';
import { type StopReason, stopReasons } from '../domain/instance.ts';
import {
  bundleFiles,
  type ControlNews,
  type ControlReply,
  type ControlRequest,
  contractVersion,
  type Lease,
  type ShimState,
} from './contract.ts';
import { createFramer } from './framing.ts';

export interface ControlOptions {
  readonly state: () => ShimState;
  readonly onStop: (reason: StopReason, times: { drainMs: number; graceMs: number }) => void;
  readonly onDeadline: (lease: Lease) => void;
  readonly onToken: (tokenSha256: string) => void;
}

export interface Control {
  /** Listens on the socket in the current directory. Rejects with the system's error. */
  listen(): Promise<void>;
  /** Tells every supervisor that has said hello what the state is now. */
  stateChanged(): void;
  /** New lines are in the spool; told at most once in 50 ms. */
  spooled(): void;
}

const connectionsMax = 8;
const lineBytesMax = 64 * 1024;
/** A supervisor that reads nothing is let go before it costs memory. */
const unreadBytesMax = 1024 * 1024;
const spooledEveryMs = 50;

interface Connection {
  readonly socket: Socket;
  /** Set by hello. */
  epoch: number | undefined;
}

/** Makes the control socket. */
export function createControl(options: ControlOptions): Control {
  const connections = new Set<Connection>();
  let highestEpoch = 0;
  let spooledTimer: NodeJS.Timeout | undefined;
  let spooledAtMs = Number.NEGATIVE_INFINITY;

  const send = (connection: Connection, message: ControlReply | ControlNews): void => {
    const { socket } = connection;
    if (socket.destroyed) return;
    if (socket.writableLength > unreadBytesMax) socket.destroy();
    else socket.write(`${JSON.stringify(message)}\n`);
  };
  const refuse = (connection: Connection, id: number, code: string, message: string): void =>
    send(connection, { id, error: { code, message } });
  const tell = (news: ControlNews): void => {
    for (const connection of connections) if (connection.epoch === highestEpoch) send(connection, news);
  };

  const answer = (connection: Connection, request: ControlRequest): void => {
    const { id } = request;
    if (request.method === 'hello') {
      if (request.contract !== contractVersion) {
        return refuse(connection, id, 'contract', `this shim speaks contract ${contractVersion}`);
      }
      if (request.epoch < highestEpoch) return refuse(connection, id, 'fenced', fencedBy(highestEpoch));
      connection.epoch = request.epoch;
      highestEpoch = request.epoch;
    } else if (connection.epoch === undefined) {
      return refuse(connection, id, 'malformed', 'say hello first');
    } else if (connection.epoch < highestEpoch) {
      return refuse(connection, id, 'fenced', fencedBy(highestEpoch));
    }
    if (request.method === 'stop') options.onStop(request.reason, request);
    if (request.method === 'deadline') options.onDeadline(request.lease);
    if (request.method === 'token') options.onToken(request.tokenSha256);
    send(connection, { id, state: options.state() });
  };

  const server = createServer((socket) => {
    const connection: Connection = { socket, epoch: undefined };
    connections.add(connection);
    const framer = createFramer({
      lineBytesMax,
      keepBytes: 0,
      onLine: (line) => {
        if (line.length === 0) return;
        const request = readRequest(line);
        if ('problem' in request) refuse(connection, request.id, 'malformed', request.problem);
        else answer(connection, request);
      },
      onLong: () => refuse(connection, 0, 'malformed', `a line may have ${lineBytesMax} bytes`),
    });
    socket.on('data', (chunk: Buffer) => framer.push(chunk));
    socket.on('error', () => socket.destroy());
    socket.once('close', () => connections.delete(connection));
  });
  server.maxConnections = connectionsMax;

  return {
    listen: () =>
      new Promise((resolve, reject) => {
        rmSync(bundleFiles.controlSocket, { force: true });
        server.once('error', reject);
        server.listen(bundleFiles.controlSocket, () => {
          server.off('error', reject);
          server.on('error', () => {});
          chmodSync(bundleFiles.controlSocket, 0o600);
          resolve();
        });
      }),
    stateChanged() {
      if (connections.size > 0) tell({ news: 'state', state: options.state() });
    },
    spooled() {
      if (spooledTimer || connections.size === 0) return;
      const waitMs = spooledAtMs + spooledEveryMs - monotonicMs();
      const now = (): void => {
        spooledTimer = undefined;
        spooledAtMs = monotonicMs();
        tell({ news: 'spooled' });
      };
      if (waitMs <= 0) now();
      else spooledTimer = setTimeout(now, waitMs);
    },
  };
}

function fencedBy(epoch: number): string {
  return `a supervisor of epoch ${epoch} has taken over`;
}

interface Problem {
  readonly id: number;
  readonly problem: string;
}

/** Checks a request by hand; fields it does not know are ignored. */
export function readRequest(line: Buffer): ControlRequest | Problem {
  let value: Record<string, unknown> | null;
  try {
    value = JSON.parse(line.toString('utf8'));
  } catch {
    return { id: 0, problem: 'not JSON' };
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    return { id: 0, problem: 'not an object' };
  const { id, method } = value;
  if (typeof id !== 'number' || !Number.isSafeInteger(id)) return { id: 0, problem: 'id must be an integer' };
  switch (method) {
    case 'hello':
      if (!isCount(value.contract)) return { id, problem: 'contract must be a number' };
      if (!isCount(value.epoch)) return { id, problem: 'epoch must be a number, 0 or more' };
      return { id, method, contract: value.contract, epoch: value.epoch };
    case 'state':
      return { id, method };
    case 'stop': {
      const { reason, drainMs, graceMs } = value;
      if (!stopReasons.includes(reason as StopReason)) return { id, problem: 'reason is not a stop reason' };
      if (!isDuration(drainMs) || !isDuration(graceMs))
        return { id, problem: 'drainMs and graceMs must be 0 or more' };
      return { id, method, reason: reason as StopReason, drainMs, graceMs };
    }
    case 'deadline': {
      const lease = value.lease as Partial<Lease> | null | undefined;
      const { remainingMs, expiresAt } = lease ?? {};
      if (typeof remainingMs !== 'number' || !Number.isFinite(remainingMs)) {
        return { id, problem: 'lease.remainingMs must be a number' };
      }
      if (typeof expiresAt !== 'string' || Number.isNaN(Date.parse(expiresAt))) {
        return { id, problem: 'lease.expiresAt must be a time' };
      }
      return { id, method, lease: { remainingMs, expiresAt } };
    }
    case 'token': {
      const { tokenSha256 } = value;
      if (typeof tokenSha256 !== 'string' || !/^[0-9a-f]{64}$/.test(tokenSha256)) {
        return { id, problem: 'tokenSha256 must be 64 hexadecimal digits' };
      }
      return { id, method, tokenSha256 };
    }
    default:
      return { id, problem: 'no such method' };
  }
}

function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
}

function isDuration(value: unknown): value is number {
  return typeof value === 'number' && Number.isFinite(value) && value >= 0;
}
