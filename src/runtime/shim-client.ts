// One connection to the control socket of one shim: hello with our epoch, requests that time out, news as they come. It
// never reconnects by itself, and nothing a shim sends can do more than close its connection.
import { constants } from 'node:fs';
import { type FileHandle, lstat, open } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import {
  bundleFiles,
  type ControlNews,
  type ControlRequest,
  contractVersion,
  type ShimState,
} from '../shim/contract.ts';
import { readMessage } from './messages.ts';

export interface ShimClient {
  /** What the shim said to hello. */
  readonly first: ShimState;
  /** @throws ShimRefusal for an error of the shim, ShimSilence when it does not answer in time or is gone */
  ask(request: Ask, timeoutMs?: number): Promise<ShimState>;
  /** Resolves when the connection is over, whoever ended it. */
  readonly closed: Promise<void>;
  close(): void;
}

type WithoutId<T> = T extends unknown ? Omit<T, 'id'> : never;
/** A request without its id. */
export type Ask = WithoutId<ControlRequest>;

/** The shim answered, with an error. */
export class ShimRefusal extends Error {
  readonly code: string;

  constructor(code: string, message: string) {
    super(message);
    this.code = code;
  }
}

/** No answer: the connection cannot be made, broke, or stayed silent. Says nothing about whether the process lives. */
export class ShimSilence extends Error {}

export interface ShimClientOptions {
  readonly bundleDir: string;
  readonly instanceId: string;
  readonly generation: number;
  /** The user the socket must belong to. */
  readonly uid: number;
  readonly epoch: number;
  readonly onNews: (news: ControlNews) => void;
  readonly timeoutMs?: number;
}

const answerMsMax = 2_000;
const lineBytesMax = 256 * 1024;
/** Longest path a Unix socket takes on every platform, less room to spare. */
const pathBytesMax = 100;

interface Waiting {
  readonly resolve: (state: ShimState) => void;
  readonly reject: (error: Error) => void;
}

/** Connects and says hello. @throws ShimSilence, ShimRefusal */
export async function connectShim(options: ShimClientOptions): Promise<ShimClient> {
  const timeoutMs = options.timeoutMs ?? answerMsMax;
  const socket = await openSocket(options, timeoutMs);
  const waiting = new Map<number, Waiting>();
  let lastId = 0;

  const closed = new Promise<void>((resolve) => {
    socket.once('close', () => {
      for (const { reject } of waiting.values()) reject(new ShimSilence('the connection to the shim broke'));
      waiting.clear();
      resolve();
    });
  });
  socket.on('error', () => socket.destroy());
  readLines(socket, (line) => {
    const message = readMessage(line);
    if (message === undefined) return;
    if ('news' in message) {
      if (message.news === 'spooled' || isMeant(message.state, options)) options.onNews(message);
      return;
    }
    const asked = waiting.get(message.id);
    if (asked === undefined) return;
    waiting.delete(message.id);
    if ('error' in message) asked.reject(new ShimRefusal(message.error.code, message.error.message));
    else if (isMeant(message.state, options)) asked.resolve(message.state);
    else asked.reject(new ShimSilence('another shim answered at this socket'));
  });

  const ask = (request: Ask, askTimeoutMs = timeoutMs): Promise<ShimState> =>
    new Promise((resolve, reject) => {
      if (socket.destroyed) return reject(new ShimSilence('the connection to the shim is closed'));
      lastId += 1;
      const id = lastId;
      const timer = setTimeout(() => {
        waiting.delete(id);
        reject(new ShimSilence(`the shim did not answer within ${askTimeoutMs} ms`));
      }, askTimeoutMs);
      const settled = <T>(fn: (value: T) => void) => {
        return (value: T): void => {
          clearTimeout(timer);
          fn(value);
        };
      };
      waiting.set(id, { resolve: settled(resolve), reject: settled(reject) });
      socket.write(`${JSON.stringify({ id, ...request })}\n`);
    });

  try {
    const first = await ask({ method: 'hello', contract: contractVersion, epoch: options.epoch });
    return { first, ask, closed, close: () => socket.destroy() };
  } catch (error) {
    socket.destroy();
    throw error;
  }
}

function isMeant(state: ShimState, { instanceId, generation }: ShimClientOptions): boolean {
  return state.instanceId === instanceId && state.generation === generation;
}

async function openSocket(options: ShimClientOptions, timeoutMs: number): Promise<Socket> {
  const path = join(options.bundleDir, bundleFiles.controlSocket);
  const found = await lstat(path).catch(() => undefined);
  if (found === undefined) throw new ShimSilence('the shim has no control socket yet');
  if (!found.isSocket() || found.uid !== options.uid)
    throw new ShimSilence('the control socket is not the shim’s');
  let directory: FileHandle | undefined;
  let reachable = path;
  if (process.platform === 'linux' && Buffer.byteLength(path) > pathBytesMax) {
    directory = await open(
      options.bundleDir,
      constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW,
    );
    reachable = `/proc/self/fd/${directory.fd}/${bundleFiles.controlSocket}`;
  }
  try {
    return await new Promise<Socket>((resolve, reject) => {
      const socket = connect(reachable);
      const timer = setTimeout(() => socket.destroy(new Error('no connection in time')), timeoutMs);
      const onError = (error: Error): void => {
        clearTimeout(timer);
        reject(new ShimSilence(`the control socket cannot be reached (${error.message})`));
      };
      socket.once('error', onError);
      socket.once('connect', () => {
        clearTimeout(timer);
        socket.off('error', onError);
        resolve(socket);
      });
    });
  } finally {
    await directory?.close();
  }
}

/** Calls back with each line; a line past all bounds closes the connection. */
function readLines(socket: Socket, onLine: (line: string) => void): void {
  let rest = '';
  socket.setEncoding('utf8');
  socket.on('data', (chunk: string) => {
    const lines = (rest + chunk).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) onLine(line);
    if (rest.length > lineBytesMax) socket.destroy();
  });
}
