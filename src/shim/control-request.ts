// Reads one line of the control socket by hand, because a schema library is too much for a shim. It refuses what it
// cannot use and ignores fields it does not know: the other side may be newer.
import type { ControlRequest, ExitRecord, Lease } from './contract.ts';

/** Any word: a newer supervisor may have reasons this shim has never heard of, and only wants them back. */
const reasonPattern = /^[a-z_]{1,40}$/;

/** What is wrong with a line; `id` is 0 where it could not be read. */
export interface Problem {
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
      if (typeof reason !== 'string' || !reasonPattern.test(reason)) {
        return { id, problem: 'reason must be a word' };
      }
      if (!isDuration(drainMs) || !isDuration(graceMs))
        return { id, problem: 'drainMs and graceMs must be 0 or more' };
      const portTaken = value.portTaken === true;
      return { id, method, reason: reason as ExitRecord['reason'], drainMs, graceMs, portTaken };
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
      if (!isSha256(tokenSha256)) return { id, problem: 'tokenSha256 must be 64 hexadecimal digits' };
      return { id, method, tokenSha256 };
    }
    case 'key': {
      const { version, variable, value: key } = (value.key ?? {}) as Record<string, unknown>;
      if (typeof version !== 'string' || version === '' || version.length > 200)
        return { id, problem: 'key.version must be a text' };
      if (typeof variable !== 'string' || !/^[A-Za-z_][A-Za-z0-9_]*$/.test(variable))
        return { id, problem: 'key.variable must name a variable' };
      // Nothing of it may stand in an answer.
      if (typeof key !== 'string' || key === '' || key.includes('\0'))
        return { id, problem: 'key.value must be a text' };
      return { id, method, key: { version, variable, value: key } };
    }
    case 'visitor': {
      const { tokenSha256, remainingMs } = (value.visitor ?? {}) as Record<string, unknown>;
      if (!isSha256(tokenSha256)) return { id, problem: 'visitor.tokenSha256 must be 64 hexadecimal digits' };
      if (!isDuration(remainingMs)) return { id, problem: 'visitor.remainingMs must be 0 or more' };
      return { id, method, visitor: { tokenSha256, remainingMs } };
    }
    default:
      return { id, problem: 'no such method' };
  }
}

function isSha256(value: unknown): value is string {
  return typeof value === 'string' && /^[0-9a-f]{64}$/.test(value);
}

function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
}

function isDuration(value: unknown): value is number {
  return typeof value === 'number' && Number.isFinite(value) && value >= 0;
}
