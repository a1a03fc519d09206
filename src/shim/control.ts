// The control socket: how a supervisor asks and tells its shim. One JSON document a line both ways; nothing that
// arrives here may end the shim: what cannot be read gets an error, what does not stop gets its connection closed.
// Supervisors are fenced: once a newer epoch has said hello, older ones are refused.
import { chmodSync, rmSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';
import { monotonicMs } from '../base/clock.ts';
import {
  bundleFiles,
  type ControlNews,
  type ControlReply,
  type ControlRequest,
  contractVersion,
  type ExitRecord,
  type KeyChange,
  type Lease,
  type ShimState,
  type Visitor,
} from './contract.ts';
import { readRequest } from './control-request.ts';
import { createFramer } from './framing.ts';

export interface ControlOptions {
  readonly state: () => ShimState;
  readonly onStop: (
    reason: ExitRecord['reason'],
    how: { readonly drainMs: number; readonly graceMs: number; readonly portTaken?: boolean },
  ) => void;
  readonly onDeadline: (lease: Lease) => void;
  readonly onToken: (tokenSha256: string) => void;
  readonly onKey: (key: KeyChange) => void;
  /** @returns false when there are too many */
  readonly onVisitor: (visitor: Visitor) => boolean;
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
/** A connection that has not said hello by then only takes up a place. */
const helloMs = 5_000;

interface Connection {
  readonly socket: Socket;
  /** Set by hello. */
  epoch: number | undefined;
}

interface Refusal {
  readonly code: string;
  readonly message: string;
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
  const tell = (news: ControlNews): void => {
    for (const connection of connections) if (connection.epoch === highestEpoch) send(connection, news);
  };

  /** Why a request may not be served now. Takes note of a hello. */
  const refusal = (connection: Connection, request: ControlRequest): Refusal | undefined => {
    if (request.method === 'hello') {
      if (request.contract !== contractVersion) {
        return { code: 'contract', message: `this shim speaks contract ${contractVersion}` };
      }
      if (request.epoch >= highestEpoch) {
        connection.epoch = request.epoch;
        highestEpoch = request.epoch;
        return undefined;
      }
    } else if (connection.epoch === undefined) {
      return { code: 'malformed', message: 'say hello first' };
    } else if (connection.epoch === highestEpoch) {
      return undefined;
    }
    return { code: 'fenced', message: `a supervisor of epoch ${highestEpoch} has taken over` };
  };

  const refusedVisitor = (request: ControlRequest): Refusal | undefined =>
    request.method !== 'visitor' || options.onVisitor(request.visitor)
      ? undefined
      : { code: 'full', message: 'too many visitors are in' };

  const answer = (request: ControlRequest): ShimState => {
    if (request.method === 'stop') options.onStop(request.reason, request);
    if (request.method === 'deadline') options.onDeadline(request.lease);
    if (request.method === 'token') options.onToken(request.tokenSha256);
    if (request.method === 'key') options.onKey(request.key);
    return options.state();
  };

  const receive = (connection: Connection, line: Buffer): void => {
    if (line.length === 0) return;
    const request = readRequest(line);
    if ('problem' in request) {
      send(connection, { id: request.id, error: { code: 'malformed', message: request.problem } });
      return;
    }
    const error = refusal(connection, request) ?? refusedVisitor(request);
    send(connection, error ? { id: request.id, error } : { id: request.id, state: answer(request) });
  };

  const server = createServer((socket) => {
    const connection: Connection = { socket, epoch: undefined };
    connections.add(connection);
    const silent = setTimeout(() => connection.epoch ?? socket.destroy(), helloMs);
    const framer = createFramer({
      lineBytesMax,
      keepBytes: 0,
      onLine: (line) => receive(connection, line),
      onLong: () =>
        send(connection, {
          id: 0,
          error: { code: 'malformed', message: `a line may have ${lineBytesMax} bytes` },
        }),
    });
    socket.on('data', (chunk: Buffer) => framer.push(chunk));
    socket.on('error', () => socket.destroy());
    socket.once('close', () => {
      clearTimeout(silent);
      connections.delete(connection);
    });
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
