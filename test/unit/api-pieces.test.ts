// The small pure parts of the API: cursors, preferences, networks, CSV, frames of events, bodies, settings.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { bearerOf } from '../../src/accounts/authenticate.ts';
import { liesWithin, plainAddress } from '../../src/accounts/networks.ts';
import { effectiveValues, settingSchemas } from '../../src/accounts/settings.ts';
import { parseBody, refuseUnkeepable } from '../../src/api/body.ts';
import { parseChange } from '../../src/api/changes.ts';
import { csvField } from '../../src/api/log-formats.ts';
import { cursorOf, idKey, readCursor, timeKey } from '../../src/api/paging.ts';
import { waitSecondsOf } from '../../src/api/prefer.ts';
import { beat, frameOf, withBeats } from '../../src/api/streams.ts';
import { sleep } from '../../src/base/clock.ts';
import { Fault } from '../../src/base/errors.ts';

const codeOf = (fn: () => unknown): string => {
  try {
    fn();
    return 'ok';
  } catch (error) {
    return error instanceof Fault ? error.code : String(error);
  }
};

describe('cursors', () => {
  const id = '01890a5d-ac96-774b-bcce-b302099a8057';
  it('come back as they were', () => {
    const at = '2026-11-21 06:47:00.123456';
    expect(readCursor(cursorOf(at, id), timeKey)).toEqual([at, id]);
    expect(readCursor(undefined, timeKey)).toBeNull();
  });
  it('of another list, or of nobody, are refused', () => {
    for (const cursor of [cursorOf(id), cursorOf('x', id), 'x', '', '%%%', cursorOf("1' OR 1=1", id)]) {
      expect(codeOf(() => readCursor(cursor, timeKey))).toBe('malformed_request');
    }
  });
  it('never throw anything but a refusal', () => {
    fc.assert(
      fc.property(fc.string(), (cursor) => {
        expect(['ok', 'malformed_request']).toContain(codeOf(() => readCursor(cursor, idKey)));
      }),
    );
  });
});

describe('Prefer', () => {
  it.each([
    ['wait=30', 30],
    ['respond-async, wait=5', 5],
    ['wait = 7; foo=bar', 7],
    ['wait="9"', 9],
    ['wait=999999', 120],
    ['wait=-1', 0],
    ['wait=abc', 0],
    ['await=5', 0],
    [undefined, 0],
  ])('%s waits %i s', (header, seconds) => {
    expect(waitSecondsOf(header)).toBe(seconds);
  });
});

describe('addresses and networks', () => {
  it('are written one way', () => {
    expect(plainAddress('::ffff:10.0.0.1')).toBe('10.0.0.1');
    expect(plainAddress('fe80::1%eth0')).toBe('fe80::1');
    expect(plainAddress('nowhere')).toBeNull();
  });
  it('lie within each other or do not', () => {
    expect(liesWithin('10.1.0.0/16', ['10.0.0.0/8'])).toBe(true);
    expect(liesWithin('10.0.0.0/7', ['10.0.0.0/8'])).toBe(false);
    expect(liesWithin('2001:db8::/64', ['2001:db8::/32'])).toBe(true);
    expect(liesWithin('10.0.0.0/8', ['::/0'])).toBe(false);
    expect(liesWithin('nonsense', ['0.0.0.0/0'])).toBe(false);
  });
});

describe('a header', () => {
  it('holds an API token or nothing', () => {
    expect(bearerOf(`Bearer mmt_${'a'.repeat(43)}`)).toBe(`mmt_${'a'.repeat(43)}`);
    expect(bearerOf(`Bearer mcp_${'a'.repeat(43)}`)).toBeUndefined();
    expect(bearerOf('Bearer short')).toBeUndefined();
    expect(bearerOf(undefined)).toBeUndefined();
  });
});

describe('CSV', () => {
  it('quotes what needs it and disarms formulas', () => {
    expect(csvField('plain')).toBe('plain');
    expect(csvField('a,"b"\n')).toBe('"a,""b""\n"');
    expect(csvField('=cmd|x')).toBe("'=cmd|x");
  });
});

describe('frames', () => {
  it('are one event each, whatever is in them', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (data) => {
        const frame = frameOf({ event: 'e', id: '1', data });
        expect(frame.endsWith('\n\n')).toBe(true);
        expect(frame.trimEnd().split('\n')).toHaveLength(3);
      }),
    );
  });
});

describe('beats', () => {
  it('fill the silence and end with the source', async () => {
    const gate = new AbortController();
    const source = (async function* () {
      yield 1;
      await sleep(10_000, gate.signal).catch(() => undefined);
      yield 2;
    })();
    const seen: unknown[] = [];
    for await (const item of withBeats(source, 20, new AbortController().signal)) {
      seen.push(item === beat ? 'beat' : item);
      if (seen.length === 3) gate.abort();
    }
    expect(seen[0]).toBe(1);
    expect(seen.at(-1)).toBe(2);
    expect(seen.slice(1, -1).every((item) => item === 'beat')).toBe(true);
  });
  it('end at once with the signal, though the source hangs', async () => {
    const end = new AbortController();
    const source = (async function* () {
      yield 1;
      await new Promise(() => {});
    })();
    for await (const item of withBeats(source, 60_000, end.signal)) {
      expect(item).toBe(1);
      queueMicrotask(() => end.abort());
    }
  });
  it('pass on what the source throws', async () => {
    const source = (async function* () {
      yield 1;
      throw new Error('broke');
    })();
    const read = async () => {
      for await (const _ of withBeats(source, 60_000, new AbortController().signal));
    };
    await expect(read()).rejects.toThrow('broke');
  });
});

describe('a body', () => {
  it.each([
    ['{', 'malformed_json'],
    ['{"a":"\\u0000"}', 'invalid_field'],
    ['{"a":"\\ud800"}', 'invalid_field'],
    ['{"\\u0000":1}', 'invalid_field'],
    ['{"__proto__":{}}', 'invalid_field'],
    ['{"a":1e999}', 'invalid_field'],
    [`${'['.repeat(60)}${']'.repeat(60)}`, 'malformed_request'],
    ['', 'ok'],
    ['{"a":[1,2,{"b":"\\ud83d\\ude00"}]}', 'ok'],
  ])('%s: %s', (text, code) => {
    expect(codeOf(() => parseBody(Buffer.from(text)))).toBe(code);
  });
  it('that is not UTF-8 is refused', () => {
    expect(codeOf(() => parseBody(Buffer.from([0x22, 0xff, 0x22])))).toBe('malformed_json');
  });
  it('of any JSON is kept or refused, never worse', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        expect(['ok', 'invalid_field', 'malformed_request']).toContain(codeOf(() => refuseUnkeepable(value)));
      }),
    );
  });
});

describe('notifications', () => {
  it('of others are passed over', () => {
    expect(parseChange('{}')).toBeUndefined();
    expect(parseChange('x')).toBeUndefined();
    expect(parseChange('null')).toBeUndefined();
    const id = '01890a5d-ac96-774b-bcce-b302099a8057';
    expect(parseChange(JSON.stringify({ instance_id: id, user_id: null }))).toEqual({
      instance_id: id,
      user_id: null,
    });
  });
});

describe('settings', () => {
  it('are their defaults where the database says nothing, or nonsense', () => {
    const values = effectiveValues([
      { key: 'mcp.drain_seconds', value: 'soon' },
      { key: 'mcp.max_instances_per_user', value: 3 },
    ]);
    expect(values['mcp.drain_seconds']).toBe(5);
    expect(values['mcp.max_instances_per_user']).toBe(3);
    expect(Object.keys(values)).toEqual(Object.keys(settingSchemas));
  });
});
