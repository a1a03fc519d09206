import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createIds, timeOf } from '../../src/logs/ids.ts';
import { encodeLine, marker, type RowContext, replaceContent } from '../../src/logs/rows.ts';

const instanceId = '01a1fcf8-0cba-77fe-9dfe-695fdea136d5';
const nowMs = Date.UTC(2026, 10, 21);
const context: RowContext = { instanceId, nowMs, nextId: () => '00000000-0000-7000-8000-000000000000' };
const line = (fields: object): string =>
  JSON.stringify({ seq: 1, t: nowMs, level: 'info', source: 'process', msg: 'x', ...fields });

/** What PostgreSQL reads in a row of COPY text. */
function read(text: string): string[] {
  expect(text.endsWith('\n')).toBe(true);
  const names: Record<string, string> = { t: '\t', n: '\n', r: '\r', '\\': '\\' };
  const fields = text.slice(0, -1).split('\t');
  expect(text.slice(0, -1)).not.toMatch(/[\n\r\0]/);
  return fields.map((field) => field.replace(/\\(.)/g, (_, char: string) => names[char] ?? `?${char}`));
}

describe('a row of COPY text', () => {
  it('has eight fields and says what the line said, whatever that is', () => {
    const anything = fc.string({ unit: 'binary', maxLength: 200 });
    fc.assert(
      fc.property(anything, fc.jsonValue(), (msg, extra) => {
        const row = encodeLine(line({ msg, meta: { extra } }), context);
        const fields = read(row?.text ?? '');
        expect(fields).toHaveLength(8);
        expect(fields[5]).toBe(msg.replaceAll('\0', '\ufffd'));
        const meta = fields[6] ?? '';
        expect(meta).not.toMatch(/\\u0000|\\ud[89a-f]/i);
        expect(meta.isWellFormed()).toBe(true);
        JSON.parse(meta);
      }),
    );
  });

  it('is made of any bytes without an exception, or not at all', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string({ unit: 'binary' }), fc.json()), (text) => {
        const row = encodeLine(text, context);
        if (row !== undefined) expect(read(row.text)).toHaveLength(8);
      }),
    );
  });

  it.each([
    ['an unknown level', { level: 'LOUD' }, 3, 'info'],
    ['an unknown source', { source: '__proto__' }, 4, 'process'],
    ['a number that is none', { seq: 'x' }, 7, '0'],
    ['a negative number', { seq: -1 }, 7, '0'],
    ['a fraction', { seq: 1.5 }, 7, '0'],
    ['metadata that is a list', { meta: [1] }, 6, '{}'],
    ['metadata that is null', { meta: null }, 6, '{}'],
    ['a time long ago', { t: 5 }, 2, '2026-11-21T00:00:00.000Z'],
    ['a time far ahead', { t: 9e15 }, 2, '2026-11-21T00:00:00.000Z'],
    ['no time', { t: null }, 2, '2026-11-21T00:00:00.000Z'],
    ['a fraction of a millisecond', { t: nowMs + 0.7 }, 2, '2026-11-21T00:00:00.000Z'],
  ])('takes %s for what it can be', (_what, fields, at, expected) => {
    expect(read(encodeLine(line(fields), context)?.text ?? '')[at]).toBe(expected);
  });

  it('keeps the time of a broken clock beside ours', () => {
    const row = encodeLine(line({ t: 5, meta: { a: 1 } }), context);
    expect(JSON.parse(read(row?.text ?? '')[6] ?? '')).toEqual({ a: 1, clock_ms: 5 });
  });

  it('belongs to the instance of its spool, and only in a node spool to the one it names', () => {
    const other = '11111111-1111-4111-8111-111111111111';
    const text = line({ instance: other });
    expect(encodeLine(text, context)?.instanceId).toBe(instanceId);
    expect(encodeLine(text, { ...context, instanceId: null })?.instanceId).toBe(other);
    for (const instance of [undefined, 'x', 7, '../../etc']) {
      expect(encodeLine(line({ instance }), { ...context, instanceId: null })).toBeUndefined();
    }
  });

  it('that was refused keeps its place, number and source, and nothing of its content', () => {
    const row = encodeLine(line({ seq: 7, source: 'api', msg: 'a secret\tpoison' }), context);
    const fields = read(replaceContent(row?.text ?? '', '22021'));
    expect(fields).toHaveLength(8);
    expect([fields[1], fields[3], fields[4], fields[7]]).toEqual([instanceId, 'warn', 'api', '7']);
    expect(fields.join()).not.toContain('secret');
    expect(JSON.parse(fields[6] ?? '')).toMatchObject({ marker: 'refused', reason: '22021' });
  });

  it('can be a marker', () => {
    const fields = read(marker({ ...context, instanceId }, 'said', { marker: 'torn' }).text);
    expect(fields.slice(3)).toEqual(['warn', 'system', 'said', '{"marker":"torn"}', '0']);
  });
});

describe('ids', () => {
  it('are UUIDv7 that only grow', () => {
    const next = createIds();
    const ids = Array.from({ length: 50_000 }, next);
    expect(
      ids.every((id) => /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/.test(id)),
    ).toBe(true);
    expect(ids.every((id, i) => i === 0 || id > (ids[i - 1] ?? ''))).toBe(true);
    expect(new Set(ids).size).toBe(ids.length);
    expect(Math.abs(timeOf(ids.at(-1) ?? '') - Date.now())).toBeLessThan(5_000);
  });

  it('go on above the last one there is, also when the clock has stepped back', () => {
    const ahead = '01ffffff-ffff-7fff-bfff-ffffffffffff';
    const next = createIds(ahead);
    const first = next();
    expect(first > ahead).toBe(true);
    expect(next() > first).toBe(true);
  });
});
