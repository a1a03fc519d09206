// What one operation of the API is: its schemas, its summary, and the function that answers. The types of what the
// function is given follow from the schemas. Where it is mounted and which scope it needs is said in routes.ts alone.
import type { FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import type { Caller } from '../accounts/authenticate.ts';
import type { Principal } from '../db/pool.ts';
import type { Actor } from '../instances/types.ts';
import type { ApiOptions } from './context.ts';
import type { ReportDetails } from './contract.ts';
import type { Streams } from './streams.ts';
import type { Stored } from './vitals.ts';

/** What every operation may use. */
export interface ApiContext extends ApiOptions {
  readonly streams: Streams;
  /** Aborts when the API closes. */
  readonly closing: AbortSignal;
  /** Counts a login that was refused against its address. @throws Fault rate_limited */
  readonly holdRefused: (request: FastifyRequest, reply: FastifyReply) => Promise<void>;
  /** What the database tells of itself, for the report. */
  readonly stored: () => Promise<Stored>;
  /** How late the timers of this process were since this was last asked. */
  readonly loopLag: () => ReportDetails['event_loop'];
  /** The address users open: the public one, or where the API listens. */
  readonly baseUrl: () => string;
  /** The OpenAPI document, once every route is there. */
  readonly openapi: () => unknown;
}

type Out<Schema> = Schema extends z.ZodType ? z.output<Schema> : undefined;

/** One request to an operation, checked. */
export interface Call<Params, Query, Body> {
  readonly api: ApiContext;
  readonly params: Params;
  readonly query: Query;
  readonly body: Body;
  /** Who asks. Absent on public routes, where reading it throws. */
  readonly caller: Caller;
  /** The same as the manager and the events know them. */
  readonly actor: Actor;
  /** The same as row-level security knows them. */
  readonly principal: Principal;
  /** The application's own check: whose rows; null for an admin. */
  readonly viewerId: string | null;
  readonly request: FastifyRequest;
  readonly reply: FastifyReply;
  /** Aborts when the caller has gone away or the API closes. */
  readonly signal: AbortSignal;
}

export interface Operation {
  readonly id: string;
  readonly summary: string;
  readonly params?: z.ZodType | undefined;
  readonly query?: z.ZodType | undefined;
  readonly body?: z.ZodType | undefined;
  readonly bodyBytesMax?: number | undefined;
  /** Answers by status; the lowest is what it sends unless it says otherwise. */
  readonly answers: Readonly<Record<number, Answer>>;
  /** Its answer may go on for long: no HEAD. */
  readonly streams?: boolean | undefined;
  /** Takes Prefer: wait. */
  readonly waits?: boolean | undefined;
  /** Takes Last-Event-ID. */
  readonly resumes?: boolean | undefined;
  /** How long finding out who asks may take, milliseconds; past it the database counts as away. */
  readonly withinMs?: number | undefined;
  handle(call: Call<never, never, never>): unknown;
}

/** The schema of a JSON answer, null for an empty one, or a content type that is not JSON. */
export type Answer = z.ZodType | null | { readonly contentType: string; readonly description: string };

/** Checks an operation against its own schemas at compile time and forgets their types. */
export function operation<
  const Params extends z.ZodType | undefined = undefined,
  const Query extends z.ZodType | undefined = undefined,
  const Body extends z.ZodType | undefined = undefined,
>(spec: {
  readonly id: string;
  readonly summary: string;
  readonly params?: Params;
  readonly query?: Query;
  readonly body?: Body;
  readonly bodyBytesMax?: number;
  readonly answers: Readonly<Record<number, Answer>>;
  readonly streams?: boolean;
  readonly waits?: boolean;
  readonly resumes?: boolean;
  readonly withinMs?: number;
  handle(call: Call<Out<Params>, Out<Query>, Out<Body>>): unknown;
}): Operation {
  return spec as unknown as Operation;
}

/** Path parameters that name one thing by its id. */
export const idParams = z.object({ id: z.uuid() });
/** Path parameters that name one thing by its name. */
export const nameParams = z.object({ name: z.string().min(1).max(100) });
/** The body of an action that needs nothing said. */
export const nothing = z.strictObject({}).nullish();
