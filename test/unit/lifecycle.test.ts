import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { isAtWork, statuses } from '../../src/domain/instance.ts';
import { events, lifecycle, next } from '../../src/domain/lifecycle.ts';
import { stateMachineDocument } from '../../src/domain/state-machine.ts';
import { root } from '../support/source.ts';

const calm = { leaseOver: false, stopReason: null, mayRestart: false } as const;

describe('the lifecycle table', () => {
  it('is what docs/state-machine.md says', () => {
    expect(readFileSync(join(root, 'docs', 'state-machine.md'), 'utf8')).toBe(stateMachineDocument());
  });

  it('ends every list of branches with one that always holds', () => {
    for (const status of statuses) {
      for (const event of events) {
        const cell = lifecycle[status][event];
        if (cell !== undefined) expect(cell.at(-1)?.when, `${status} × ${event}`).toBeUndefined();
      }
    }
  });

  it('reaches a status at rest from every status at work by stop, expire or delete, then exited', () => {
    for (const status of statuses.filter(isAtWork)) {
      for (const event of ['stop', 'expire', 'delete'] as const) {
        expect(next(status, event, calm)?.to).toBe('stopping');
        const reason = event === 'stop' ? 'user' : event === 'expire' ? 'expired' : 'deleted';
        const end = next('stopping', 'exited', { ...calm, stopReason: reason });
        expect(end !== undefined && isAtWork(end.to), `${status} ${event}`).toBe(false);
      }
    }
  });

  it('launches only into pending, and terminates only into stopping', () => {
    for (const status of statuses) {
      for (const cell of Object.values(lifecycle[status])) {
        for (const branch of cell) {
          if (branch.effects.includes('launch')) expect(branch.to).toBe('pending');
          if (branch.effects.includes('terminate')) expect(branch.to).toBe('stopping');
        }
      }
    }
  });

  it('puts the end of the lease before a restart', () => {
    expect(next('running', 'exited', { ...calm, leaseOver: true, mayRestart: true })?.to).toBe('expired');
    expect(next('stopping', 'exited', { ...calm, leaseOver: true, stopReason: 'restart' })?.to).toBe(
      'expired',
    );
  });
});
