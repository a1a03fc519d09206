// The audit trail in words: every event has a sentence, and a change says what was before.
import { describe, expect, it } from 'vitest';
import type { EventView } from '../../src/api/contract.ts';
import { notedOf, whoOf } from '../../src/dashboard/event-notes.ts';
import { eventTypes, isTrouble, receiptOf, sentenceOf } from '../../src/dashboard/event-text.ts';
import { sourcesIn } from '../support/source.ts';

const event = (
  type: string,
  data: EventView['event_data'] = {},
  rest: Partial<EventView> = {},
): EventView => ({
  id: '01990000-0000-7000-8000-000000000000',
  mcp_instance_id: null,
  user_id: null,
  actor_id: null,
  event_type: type,
  event_data: data,
  ip_address: null,
  user_agent: null,
  created_at: '2026-01-01T00:00:00Z',
  ...rest,
});

describe('the sentence of an event', () => {
  it('is told for every type the daemon writes', () => {
    const written = sourcesIn('src').flatMap(({ path, text }) =>
      path.startsWith('src/dashboard/') || !text.includes('insertEvent')
        ? []
        : [...text.matchAll(/\b(?:type|event): '([a-z]+(?:_[a-z]+)*)'/g)].map(([, type = '']) => type),
    );
    // Wishes to the state machine are spelt the same way, and are no events of the trail.
    const wishes = [
      'expire',
      'stop',
      'exited',
      'restart',
      'restore',
      'delete',
      'renew',
      'extend',
      'child_down',
    ];
    expect(written.length).toBeGreaterThan(10);
    expect(written.filter((type) => !eventTypes.includes(type) && !wishes.includes(type))).toEqual([]);
  });

  it('says what happened, and why', () => {
    expect(sentenceOf(event('stopped', { reason: 'idle', exit_code: 0 }))).toBe(
      'Stopped: nobody used it, with exit code 0',
    );
    const before = { is_active: true };
    expect(
      sentenceOf(event('type_changed', { mcp_type: 'memory', before, after: { is_active: false } })),
    ).toBe('Switched off type memory');
    expect(
      sentenceOf(event('user_changed', { before: { disabled: false }, after: { disabled: true } })),
    ).toBe('User disabled');
    expect(sentenceOf(event('something_new'))).toBe('Something new');
  });

  it('marks what went wrong, and nothing else', () => {
    expect(isTrouble(event('error'))).toBe(true);
    expect(isTrouble(event('restarting', { reason: 'restart' }))).toBe(false);
    expect(isTrouble(event('restarting', { reason: 'crashed' }))).toBe(true);
  });

  it('reads a receipt claim by claim', () => {
    const receipt = receiptOf(event('receipt', { processes: 0, port_free: false, token_dead: true }));
    expect(receipt?.map(({ holds }) => holds)).toEqual([true, false, true, false]);
  });
});

describe('what stands behind an event', () => {
  it('shows of a change only what is different', () => {
    const data = { key: 'a', before: { name: 'Ann', role: 'user' }, after: { name: 'Ann', role: 'admin' } };
    expect(notedOf(event('user_changed', data))).toEqual([
      { name: 'key', value: 'a' },
      { name: 'role', before: 'user', value: 'admin' },
    ]);
    expect(notedOf(event('setting_changed', { before: 5, after: 9 }))).toEqual([
      { name: 'value', before: '5', value: '9' },
    ]);
  });

  it('names who did it, from where and with what', () => {
    const by = { actor_id: 'x', ip_address: '::1', user_agent: 'Mozilla/5.0 (X11) Chrome/120.0 Safari/537' };
    expect(whoOf(event('stopping', {}, by), () => 'you')).toBe('you from ::1 with Chrome');
    expect(whoOf(event('expired'), () => 'you')).toBe('MiniMCP itself');
  });
});
