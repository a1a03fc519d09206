// Reading and changing JSON documents without building them: as exact as JSON.parse, and nothing but the change.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { documentOf, readDocument } from '../../src/shim/bridge/document.ts';
import { scan } from '../../src/shim/bridge/scan.ts';
import { changed, changedParts } from '../../src/shim/bridge/wire.ts';

const parses = (text: string): boolean => {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
};
const isValid = (text: string): boolean => typeof scan(Buffer.from(text), 1_000) !== 'string';

/** Valid documents with one or two characters replaced, added or cut. */
const mutated = fc
  .tuple(
    fc.json(),
    fc.nat(),
    fc.constantFrom(
      '',
      '"',
      '\\',
      '{',
      '}',
      '[',
      ']',
      ',',
      ':',
      '0',
      '-',
      '.',
      'e',
      '\n',
      '\u0001',
      'n',
      ' ',
    ),
    fc.nat(2),
  )
  .map(([text, at, put, cut]) => {
    const place = at % (text.length + 1);
    return text.slice(0, place) + put + text.slice(place + cut);
  });

describe('scan', () => {
  it('accepts what JSON.parse accepts, and nothing else', () => {
    fc.assert(
      fc.property(fc.oneof(fc.json(), mutated, fc.string()), (text) => isValid(text) === parses(text)),
      { numRuns: 2_000 },
    );
    for (const text of [
      '',
      ' ',
      '01',
      '1.',
      '.5',
      '1e',
      '-',
      '--1',
      '+1',
      '1e+5',
      '-0.1E-2',
      '"\\u12g4"',
      '"\\x"',
      '"\t"',
      'nul',
      'nullx',
      '{"a":1,}',
      '[1,]',
      '[,1]',
      '{"a"}',
      '{1:2}',
      '"a',
      '{}{}',
      '[]]',
      '\u00a01',
      '1 ',
      '"\\ud800"',
      '\ufeff1',
    ])
      expect([text, isValid(text)]).toEqual([text, parses(text)]);
  });

  it('finds the outer members, and theirs', () => {
    const text = ' { "a" : [1,{"x":2}] , "params":{"_meta":{"b":1}, "y" : "z"}, "id":7 } ';
    const found = scan(Buffer.from(text), 10);
    if (typeof found === 'string') throw new Error(found);
    const cut = (list: readonly { key: string; start: number; end: number }[] | null | undefined) =>
      list?.map(({ key, start, end }) => [key, text.slice(start, end)]);
    expect(cut(found.members)).toEqual([
      ['a', '[1,{"x":2}]'],
      ['params', '{"_meta":{"b":1}, "y" : "z"}'],
      ['id', '7'],
    ]);
    expect(cut(found.inner.get('params'))).toEqual([
      ['_meta', '{"b":1}'],
      ['y', '"z"'],
    ]);
    expect(found.isAmbiguous).toBe(false);
  });

  it('refuses what is too deep, and sees names that stand twice', () => {
    expect(scan(Buffer.from('['.repeat(129) + ']'.repeat(129)), 128)).toBe('deep');
    expect(scan(Buffer.from('['.repeat(1_000_000)), 128)).toBe('deep');
    for (const text of ['{"id":1,"id":2}', '{"id":1,"\\u0069d":2}', '{"params":{"_meta":{},"_meta":{}}}'])
      expect(scan(Buffer.from(text), 10)).toMatchObject({ isAmbiguous: true });
  });
});

const envelopes = fc.record(
  {
    jsonrpc: fc.constant('2.0'),
    id: fc.oneof(fc.integer(), fc.string()),
    method: fc.string(),
    params: fc.dictionary(fc.string(), fc.jsonValue()),
    result: fc.jsonValue(),
  },
  { requiredKeys: ['jsonrpc', 'id'] },
);

describe('changed', () => {
  it('changes the id and nothing else, however the members are ordered and spaced', () => {
    const shuffled = fc
      .tuple(envelopes, fc.infiniteStream(fc.nat()), fc.constantFrom(undefined, 1, '\t'))
      .map(([value, order, space]) => {
        const entries = Object.entries(value).map((entry) => [order.next().value, entry] as const);
        entries.sort((a, b) => a[0] - b[0]);
        return JSON.stringify(Object.fromEntries(entries.map(([, entry]) => entry)), undefined, space);
      });
    fc.assert(
      fc.property(shuffled, fc.integer(), (text, id) => {
        const document = readDocument(Buffer.from(text), 100);
        if (typeof document === 'string') throw new Error(document);
        const made = changed(document, { id: String(id) });
        expect(made).not.toMatch(/[\r\n]/);
        expect(JSON.parse(made)).toEqual({ ...JSON.parse(text), id });
      }),
      { numRuns: 1_000 },
    );
  });

  it('keeps numbers no double can hold', () => {
    const line = '{"jsonrpc":"2.0","id":1,"method":"m","params":{"id":12345678901234567890,"f":1e400}}';
    const document = readDocument(Buffer.from(line), 10);
    if (typeof document === 'string') throw new Error(document);
    expect(changed(document, { id: '99' })).toBe(line.replace('"id":1,', '"id":99,'));
  });

  it('gives the child one id where a client wrote two', () => {
    for (const text of [
      '{"jsonrpc":"2.0","id":1,"method":"m","id":2}',
      '{"jsonrpc":"2.0","id":1,"method":"m","\\u0069d":1}',
      '{"id":1,"jsonrpc":"2.0","method":"m","id":1}',
    ]) {
      const document = readDocument(Buffer.from(text), 10);
      if (typeof document === 'string') throw new Error(document);
      const made = changed(document, { id: '77' });
      expect(JSON.parse(made)).toEqual({ jsonrpc: '2.0', id: 77, method: 'm' });
      expect(made.match(/"(id|\\u0069d)"/g)).toHaveLength(1);
    }
  });

  it('puts members into a result, and other values into params', () => {
    const result = documentOf({ jsonrpc: '2.0', id: 1, result: { a: 1, _meta: { x: 1 } } });
    const parsed = (changes: object, document = result) => JSON.parse(changed(document, changes));
    expect(parsed({ id: '"s"', resultFields: '"b":2', resultMeta: '{"y":2}' })).toEqual({
      jsonrpc: '2.0',
      id: 's',
      result: { b: 2, a: 1, _meta: { y: 2 } },
    });
    const empty = documentOf({ jsonrpc: '2.0', id: 1, result: {} });
    expect(parsed({ id: '2', resultFields: '"b":2' }, empty)).toEqual({
      jsonrpc: '2.0',
      id: 2,
      result: { b: 2 },
    });
    const progress = documentOf({ jsonrpc: '2.0', method: 'p', params: { progressToken: 5, progress: 1 } });
    expect(parsed({ progressToken: '"mine"' }, progress).params).toEqual({
      progressToken: 'mine',
      progress: 1,
    });
  });
});

describe('large documents', () => {
  const large = (value: object): Buffer =>
    Buffer.from(JSON.stringify({ pad: 'x'.repeat(100_000), ...value }));

  it('are changed like small ones', () => {
    const value = {
      jsonrpc: '2.0',
      id: 5,
      method: 'm',
      params: { name: 'n', big: 'ü'.repeat(70_000), _meta: { progressToken: 1 } },
    };
    const document = readDocument(large(value), 10);
    if (typeof document === 'string') throw new Error(document);
    expect(document.text).toBeNull();
    expect(document.value).toMatchObject({
      id: 5,
      params: { name: 'n', big: {}, _meta: { progressToken: 1 } },
    });
    const made = JSON.parse(changed(document, { id: '"new"', meta: '{"progressToken":9}' }));
    expect(made).toEqual({
      pad: 'x'.repeat(100_000),
      ...value,
      id: 'new',
      params: { ...value.params, _meta: { progressToken: 9 } },
    });
    expect(Buffer.concat(changedParts(document, { id: '1' }) ?? []).length).toBe(document.bytes.length);
  });

  it('are refused when names stand twice, when they are no object, and when they are not UTF-8', () => {
    const pad = 'x'.repeat(100_000);
    expect(readDocument(Buffer.from(`{"pad":"${pad}","id":1,"id":2}`), 10)).toBe('invalid');
    expect(readDocument(Buffer.from(`["${pad}"]`), 10)).toBe('invalid');
    expect(
      readDocument(
        Buffer.concat([Buffer.from(`{"id":1,"pad":"${pad}`), Buffer.from([0xff]), Buffer.from('"}')]),
        10,
      ),
    ).toBe('invalid');
    expect(readDocument(Buffer.from(`{"a":${'['.repeat(60_000)}${']'.repeat(60_000)}}`), 128)).toBe('deep');
  });

  it('keep __proto__ a name like any other', () => {
    const document = readDocument(
      Buffer.from(`{"__proto__":{"polluted":true},"id":1,"pad":"${'x'.repeat(100_000)}"}`),
      10,
    );
    if (typeof document === 'string') throw new Error(document);
    expect(({} as Record<string, unknown>).polluted).toBeUndefined();
    expect((document.value as Record<string, unknown>).polluted).toBeUndefined();
    expect(changed(document, { id: '2' })).toContain('"__proto__":{"polluted":true}');
  });
});
