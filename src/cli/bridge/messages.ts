// JSON-RPC as the bridge sees it: enough of each message to know where it belongs. What it does not understand it does
// not judge: the instance does. Pure.

export type Json = Record<string, unknown>;

export interface Message {
  readonly id?: string | number;
  readonly method?: string;
  readonly params?: Json;
  readonly result?: unknown;
  readonly error?: unknown;
}

export const codes = { parse: -32_700, invalidRequest: -32_600, refused: -32_000 } as const;

/** Why a message cannot be served, as its sender is told. */
export class Refusal extends Error {
  readonly code: number;
  readonly data: unknown;

  constructor(message: string, { code = codes.refused, data }: { code?: number; data?: unknown } = {}) {
    super(message);
    this.name = 'Refusal';
    this.code = code;
    this.data = data;
  }
}

export function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** A parsed value as a message, if it is one. */
export function messageOf(value: unknown): Message | undefined {
  if (!isObject(value) || value.jsonrpc !== '2.0') return undefined;
  const { id, method, params } = value;
  if (id !== undefined && typeof id !== 'string' && typeof id !== 'number') return undefined;
  if (method === undefined ? id === undefined : typeof method !== 'string') return undefined;
  return params === undefined || isObject(params) ? (value as Message) : undefined;
}

export function isRequest(message: Message): message is Message & { id: string | number; method: string } {
  return message.method !== undefined && message.id !== undefined;
}

/** Whether a message answers the request with this id. */
export function answers(message: Message, id: string | number | undefined): boolean {
  return message.method === undefined && message.id === id;
}

/** An error as the answer to a request. */
export function errorAnswer(id: string | number | null, { code, message, data }: Refusal): string {
  const error = data === undefined ? { code, message } : { code, message, data };
  return JSON.stringify({ jsonrpc: '2.0', id, error });
}
