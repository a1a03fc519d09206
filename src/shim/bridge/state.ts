// What the parts of the bridge share: the child's link, the calls in flight, the sessions. Types and the one
// constructor; nothing here acts. Everything in it is bounded by the LaunchSpec's bounds.
import type { ServerResponse } from 'node:http';
import type { Bounds, LaunchSpec } from '../contract.ts';
import type { ChildLink, Say } from '../seams.ts';
import type { Payload } from './answers.ts';
import type { Document } from './document.ts';
import type { Json } from './messages.ts';

/** The child's answer to the one real initialize, or what server/discover said in its place. */
export interface InitializeResult {
  readonly protocolVersion: string;
  readonly capabilities: Json;
  readonly serverInfo: { readonly name: string; readonly version: string };
  readonly instructions?: string;
}

/** A response body of server-sent events. It outlives its connection: a client may come back for the rest. */
export interface Stream {
  /** 0 is the session's own stream (GET); every POST that streams has a number of its own. */
  readonly no: number;
  readonly session: Session | null;
  response: ServerResponse | null;
  /** Answers still to come on it; at zero it ends. The session's own stream never reaches zero. */
  openCalls: number;
  /** Sequence numbers of its last event, and of the last that a connection was given. */
  lastEvent: number;
  sentEvent: number;
}

export interface StoredEvent {
  readonly stream: number;
  readonly seq: number;
  readonly text: string;
}

/** One legacy client: a Mcp-Session-Id. */
export interface Session {
  readonly id: string;
  version: string;
  capabilities: Json;
  /** The session's own stream; its connections, newest last. */
  readonly own: Stream;
  readonly listeners: ServerResponse[];
  readonly streams: Map<number, Stream>;
  readonly events: StoredEvent[];
  eventBytes: number;
  nextStream: number;
  readonly calls: Set<Call>;
  readonly subscriptions: Set<string>;
  logLevel: number | null;
  usedMs: number;
  /** Set for clients of HTTP+SSE (2024-11-05): every message goes to this one stream. */
  readonly sse: boolean;
}

/** A request the child has not answered. */
export interface Call {
  /** The id, and the progress token, under which the child knows it. */
  readonly childId: number;
  /** The child that was asked: not the one that serves now, once another has taken its place. */
  readonly link: ChildLink | null;
  /** The client's id as JSON text. */
  readonly idText: string;
  readonly method: string;
  readonly session: Session | null;
  /** The client's progress token as JSON text. */
  readonly progressToken: string | null;
  /** The resource or the level the request is about, where the answer changes our books. */
  readonly subject: string | null;
  response: ServerResponse | null;
  stream: Stream | null;
  /** Monotonic time of the last sign of life. */
  touchedMs: number;
  /** Requests of the child to this call's client that are unanswered: its clock stands meanwhile. */
  asked: number;
  /** Who takes the answer instead of a legacy client: the shim itself, or the modern part. */
  readonly taker: Taker | null;
}

/** Takes what the child says about a call. */
export interface Taker {
  answer(call: Call, document: Document): void;
  notify(call: Call, document: Document): void;
  /** A request of the child that this call's client must answer; false: it cannot. */
  ask(call: Call, asked: ServerCall, document: Document): boolean;
  /** Its client has been asked something and is not connected. */
  isParked(): boolean;
}

/** A request of the child that a client has not answered. */
export interface ServerCall {
  readonly id: number;
  /** The child that asked. */
  readonly link: ChildLink | null;
  /** The child's id as JSON text. */
  readonly childIdText: string;
  readonly method: string;
  readonly session: Session | null;
  readonly call: Call | null;
  readonly progressToken: string | null;
  readonly askedMs: number;
}

/** What a modern request says of its client. */
export interface Envelope {
  readonly capabilities: Json;
  /** Index into logLevels; null: the request asked for no messages. */
  readonly logLevel: number | null;
}

export interface ModernAnswer {
  readonly status: number;
  readonly payload: Payload;
}

/** A question of a legacy child, and the name a modern client knows it by. */
export interface Question {
  readonly key: string;
  readonly asked: ServerCall;
  readonly request: Json;
}

/** Where a modern call's answer goes. */
export interface Caller {
  readonly response: ServerResponse;
  readonly idText: string;
  /** The client's progress token as JSON text. */
  readonly progressToken: string | null;
  readonly envelope: Envelope;
}

/** A modern call that may wait for its client to come back with answers. */
export interface ParkedCall {
  /** As the child knows it. */
  readonly call: Call | null;
  readonly method: string;
  /** What the request is about (a tool's or prompt's name, a URI): a retry must be about the same. */
  readonly about: string;
  readonly idText: string;
  /** The child's questions that no client has answered. */
  readonly questions: Question[];
  /** When the client was told to come back; null while it is connected. */
  parkedMs: number | null;
  /** What the child said while nobody was there to hear it. */
  readonly done: ModernAnswer | null;
  attach(caller: Caller): void;
  reply(answer: ModernAnswer): void;
  abandon(reason: string): void;
}

/** An argument of a tool that must be mirrored in a header. */
export interface ParamHeader {
  /** Lower case, with its prefix. */
  readonly header: string;
  /** Property names from the arguments down. */
  readonly path: readonly string[];
}

/** A stream of a modern client's subscriptions/listen. */
export interface Listener {
  /** The id under which a modern child knows it. */
  readonly childId: number;
  /** The request as a modern child was sent it, for the child that may take its place; null when it is too long. */
  readonly request: string | null;
  /** The client has been told that it is heard. */
  acknowledged: boolean;
  readonly idText: string;
  readonly response: ServerResponse;
  /** Notifications it asked for, before a legacy child. */
  readonly methods: Set<string>;
  readonly subscriptions: Set<string>;
}

export interface Core {
  /** The era the child is opened in. Changes only while it is being opened. */
  era: 'legacy' | 'modern';
  readonly spec: LaunchSpec;
  readonly bounds: Bounds;
  readonly say: Say;
  /** Where new requests go; null while no child is ready, and for one that speaks HTTP. */
  link: ChildLink | null;
  /** The child that is being opened, whoever serves meanwhile. */
  opening: ChildLink | null;
  /** The child has answered initialize and may be called. */
  server: InitializeResult | null;
  /** The child does not read: no new body is taken until it does. */
  blocked: boolean;
  draining: boolean;
  closed: boolean;
  readonly calls: Map<number, Call>;
  readonly serverCalls: Map<number, ServerCall>;
  readonly sessions: Map<string, Session>;
  readonly listeners: Set<Listener>;
  /** Modern calls whose client was asked something, by requestState. */
  readonly parked: Map<string, ParkedCall>;
  /** Arguments that must be mirrored in headers, by tool. */
  readonly paramHeaders: Map<string, readonly ParamHeader[]>;
  /** Requests that wait until the child is ready or given up, until it reads again, until others' bodies are in. */
  readonly awaitingServer: Set<() => void>;
  readonly awaitingDrain: Set<() => void>;
  readonly awaitingRoom: Set<() => void>;
  /** Called with each call that leaves the books. */
  readonly whenRemoved: Set<() => void>;
  nextId: number;
  nextServerId: number;
  requests: number;
  idleSinceMs: number | null;
  /** Connections that are still being given stored events; what is new waits in the store for its turn. */
  readonly catchingUp: Set<ServerResponse>;
  /** Large answers that are not read yet, oldest first. */
  readonly unread: Set<ServerResponse>;
  /** Request bodies that are being received, and the room that is taken by the large ones. */
  bodies: number;
  roomBytes: number;
  /** Bytes in the event stores of all sessions. */
  eventBytes: number;
  /** The level the child was last told, an index into logLevels. */
  childLevel: number | null;
}

/** Makes the empty state of a bridge. */
export function createCore(spec: LaunchSpec, say: Say): Core {
  return {
    era: spec.child.era === 'modern' ? 'modern' : 'legacy',
    spec,
    bounds: spec.bounds,
    say,
    link: null,
    opening: null,
    server: null,
    blocked: false,
    draining: false,
    closed: false,
    calls: new Map(),
    serverCalls: new Map(),
    sessions: new Map(),
    listeners: new Set(),
    parked: new Map(),
    paramHeaders: new Map(),
    awaitingServer: new Set(),
    awaitingDrain: new Set(),
    awaitingRoom: new Set(),
    whenRemoved: new Set(),
    nextId: 1,
    nextServerId: 1,
    requests: 0,
    idleSinceMs: null,
    catchingUp: new Set(),
    unread: new Set(),
    bodies: 0,
    roomBytes: 0,
    eventBytes: 0,
    childLevel: null,
  };
}
