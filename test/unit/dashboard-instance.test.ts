// What the dashboard's screen of one instance is made of, apart from a browser: the lines it holds, the text it shows, the
// forms it draws, the course it plots.
import { describe, expect, it } from 'vitest';
import type { EventView, LogLineView } from '../../src/api/contract.ts';
import { splitEvents } from '../../src/dashboard/api/event-stream.ts';
import { receiptOf, sentenceOf } from '../../src/dashboard/event-text.ts';
import { courseOf, digestOf, type UsageSample } from '../../src/dashboard/screens/instance/course.ts';
import { LogBuffer } from '../../src/dashboard/screens/instance/log-buffer.ts';
import { oneLine, plainText } from '../../src/dashboard/screens/instance/log-text.ts';
import { nearestTo, pathOf, timeMarks, valueMarks } from '../../src/dashboard/screens/instance/plot-scale.ts';
import { argumentsOf, fieldsOf } from '../../src/dashboard/screens/instance/schema-form.ts';

const line = (id: number): LogLineView => ({
  id: String(id),
  timestamp: '2026-01-01T00:00:00.000Z',
  level: 'info',
  source: 'process',
  seq: id,
  message: `line ${id}`,
  metadata: {},
});
const linesOf = (from: number, to: number): LogLineView[] =>
  Array.from({ length: to - from + 1 }, (_, at) => line(from + at));

describe('the lines the page holds', () => {
  it('are each there once, whatever comes twice', () => {
    const buffer = new LogBuffer(10);
    expect(buffer.append(linesOf(1, 4))).toBe(4);
    expect(buffer.append(linesOf(3, 6))).toBe(2);
    expect(buffer.size).toBe(6);
    expect(buffer.at(buffer.first + 5)?.id).toBe('6');
  });

  it('keep their numbers when older ones come in front and when the oldest are dropped', () => {
    const buffer = new LogBuffer(6);
    buffer.append(linesOf(10, 12));
    const number = buffer.first + 1;
    expect(buffer.prepend(linesOf(5, 10))).toBe(3);
    expect(buffer.at(number)?.id).toBe('11');
    expect(buffer.at(buffer.first)?.id).toBe('7');
    buffer.append(linesOf(13, 15));
    expect(buffer.isFull).toBe(true);
    expect(buffer.at(number)?.id).toBe('11');
    expect(buffer.at(buffer.first)?.id).toBe('10');
    expect(buffer.at(buffer.first - 1)).toBeUndefined();
  });

  it('are dropped from the front past 100,000, and one that was dropped may come again', () => {
    const buffer = new LogBuffer();
    for (let from = 1; from <= 150_000; from += 1_000) buffer.append(linesOf(from, from + 999));
    expect(buffer.size).toBe(100_000);
    expect(buffer.at(buffer.first)?.id).toBe('50001');
    expect(buffer.append([line(1)])).toBe(1);
  });
});

describe('the text of a line', () => {
  it.each([
    ['\u001b[31mred\u001b[0m', 'red'],
    ['\u001b[38;2;1;2;3mtrue colour', 'true colour'],
    ['\u009b1mbold', 'bold'],
    ['\u001b]8;;http://a.test\u0007a link\u001b]8;;\u001b\\', 'a link'],
    ['\u001b]0;a title\u0007after', 'after'],
    ['\u001b', ''],
    ['a\u0000b\u0008c\r', 'abc'],
    ['user\u202egnp.exe', 'usergnp.exe'],
    ['tab\tand\nbreak, ü and 😀', 'tab\tand\nbreak, ü and 😀'],
  ])('%j is shown as %j', (message, shown) => {
    expect(plainText(message)).toBe(shown);
  });

  it('stands on one line in the list, and is cut where nobody reads on', () => {
    expect(oneLine('one\ntwo')).toBe('one ↵ two');
    expect(oneLine('x'.repeat(100_000)).length).toBe(4_000);
  });
});

describe('a stream of events', () => {
  it('is cut into events wherever its chunks end', () => {
    const text =
      'retry: 2000\n\nid: a\ndata: {"n":1}\n\n: still here\n\nevent: x\nid: b\ndata: {"n":2}\n\nid: c\nda';
    const whole = splitEvents(text);
    expect(whole.events).toEqual([
      { id: 'a', data: '{"n":1}' },
      { id: 'b', data: '{"n":2}' },
    ]);
    expect(whole.left).toBe('id: c\nda');
    let left = '';
    const bitByBit = [...text].flatMap((letter) => {
      const cut = splitEvents(left + letter);
      left = cut.left;
      return cut.events;
    });
    expect(bitByBit).toEqual(whole.events);
  });
});

describe('the form of a tool', () => {
  const schema = {
    type: 'object',
    properties: {
      text: { type: 'string', description: 'Any' },
      count: { type: 'integer', default: 3 },
      ratio: { type: ['number', 'null'] },
      loud: { type: 'boolean' },
      size: { enum: ['s', 1] },
      list: { type: 'array', items: { type: 'string' } },
    },
    required: ['text', 'size'],
  };

  it('has a field for each property, of the kind that suits it', () => {
    const fields = fieldsOf(schema) ?? [];
    expect(fields.map(({ name, kind, isRequired }) => [name, kind, isRequired])).toEqual([
      ['text', 'text', true],
      ['count', 'number', false],
      ['ratio', 'number', false],
      ['loud', 'boolean', false],
      ['size', 'choice', true],
      ['list', 'json', false],
    ]);
    expect(fieldsOf({ anyOf: [{ type: 'object' }] })).toBeUndefined();
    expect(fieldsOf({ type: 'object' })).toEqual([]);
  });

  it('makes arguments of what was typed, and says of each field what is wrong', () => {
    const fields = fieldsOf(schema) ?? [];
    expect(argumentsOf(fields, { text: '7', ratio: '0.5', loud: 'false', size: '1', list: '["a"]' })).toEqual(
      {
        arguments: { text: '7', count: 3, ratio: 0.5, loud: false, size: 1, list: ['a'] },
        faults: {},
      },
    );
    const { faults } = argumentsOf(fields, { text: '', count: '1.5', ratio: 'much', list: '[' });
    expect(Object.keys(faults)).toEqual(['count', 'ratio', 'size', 'list']);
    expect(faults.list).toMatch(/no JSON/);
  });
});

describe('the course of what an instance used', () => {
  const sample = (minute: number, memory: number | null): UsageSample => ({
    at: new Date(minute * 60_000).toISOString(),
    cpu_percent: minute,
    memory_bytes: memory,
    requests: 0,
    in_flight: 0,
    sessions: 0,
  });

  it('is broken where it did not run, and begins where the span does', () => {
    const { at, cpu } = courseOf(
      [1, 2, 3, 30, 31].map((minute) => sample(minute, 1)),
      2 * 60_000,
    );
    expect(cpu).toEqual([2, 3, null, 30, 31]);
    expect(at.toSorted((one, other) => one - other)).toEqual(at);
  });

  it('comes to its least, median, most and newest, without what was not measured', () => {
    expect(digestOf([null, 5, 1, null, 9, 3, 3])).toEqual({ min: 1, median: 3, max: 9, newest: 3 });
    expect(digestOf([null])).toBeUndefined();
  });
});

describe('a plot', () => {
  const span = { from: 0, to: 100 };

  it.each([10, 14, 100, 32_000_000, 148_000_000, 3.2])(
    'has a scale of even, round marks that reaches %d',
    (most) => {
      const marks = valueMarks(most);
      const [, { value: step } = { value: 0 }] = marks;
      expect(marks.length).toBeLessThanOrEqual(6);
      expect(marks.at(-1)?.value).toBeGreaterThanOrEqual(most);
      expect(marks.map(({ value }) => value / step)).toEqual(marks.map((_, nth) => nth));
      expect(marks.at(-1)?.at).toBe(1);
      expect([1, 2, 5]).toContain(Number(step.toPrecision(1).replace(/e.*/, '').replace(/[0.]/g, '')));
    },
  );

  it.each([90, 3_600, 86_400, 30 * 86_400, 400 * 86_400])(
    'marks few round times within %d seconds',
    (seconds) => {
      const from = Date.parse('2026-03-04T05:06:07Z') / 1_000;
      const marks = timeMarks({ from, to: from + seconds });
      expect(marks.length).toBeGreaterThan(0);
      expect(marks.length).toBeLessThanOrEqual(6);
      for (const { at, value } of marks) {
        expect(at >= 0 && at <= 1).toBe(true);
        expect(new Date(value * 1_000).getSeconds()).toBe(0);
      }
    },
  );

  it('lifts its line over what was not measured, and shows a measurement all alone', () => {
    expect(pathOf([0, 50, 60, 100], [0, 5, null, 10], { span, top: 10 })).toBe(
      'M0.0 100.0L500.0 50.0M1000.0 0.0L1000.0 0.0',
    );
  });

  it('points at the nearest measurement', () => {
    expect([0, 0.2, 0.6, 1].map((place) => nearestTo(place, [0, 50, 60], span))).toEqual([0, 0, 2, 2]);
  });
});

describe('what happened', () => {
  const event = (type: string, data: Record<string, unknown> = {}): EventView => ({
    ...{ id: '', mcp_instance_id: null, user_id: null, actor_id: null, event_type: type, event_data: data },
    ...{ ip_address: null, user_agent: null, created_at: '2026-01-01T00:00:00.000Z' },
  });

  it('is told in a sentence, by its own name where it is not known', () => {
    expect(sentenceOf(event('stopped', { reason: 'idle' }))).toBe('Stopped: nobody used it');
    expect(sentenceOf(event('error', { reason: 'start_failed', exit_code: 3 }))).toMatch(/exit code 3/);
    expect(sentenceOf(event('something_new'))).toBe('Something new');
  });

  it('tells of a receipt what it proves, and what it does not', () => {
    const proved = { processes: 0, port_free: true, token_dead: true, home_wiped: true };
    expect(receiptOf(event('receipt', proved))?.every(({ holds }) => holds)).toBe(true);
    expect(
      receiptOf(event('receipt', { ...proved, port_free: false }))?.filter(({ holds }) => !holds),
    ).toEqual([{ claim: 'the port is free', holds: false }]);
    expect(receiptOf(event('stopped'))).toBeUndefined();
  });
});
