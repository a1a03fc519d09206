// The pure pieces of the page: addresses that can be shared, and durations as people write them.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { formatBytes, formatMinutes, formatSpan, parseMinutes } from '../../src/dashboard/format.ts';
import { hrefOf, matchPath, parseHash } from '../../src/dashboard/hash.ts';

describe('places in the hash', () => {
  it('come back as they went, whatever is in the query', () => {
    const query = fc.dictionary(fc.stringMatching(/^[a-z_]{1,8}$/), fc.string({ minLength: 1 }), {
      noNullPrototype: true,
    });
    fc.assert(
      fc.property(query, (given) => {
        expect(parseHash(hrefOf('/instances', given))).toEqual({ path: '/instances', query: given });
      }),
    );
  });

  it('leave out what is empty', () => {
    expect(hrefOf('/instances', { q: '', status: undefined, type: 'memory' })).toBe(
      '#/instances?type=memory',
    );
  });

  it.each([
    ['', '/'],
    ['#', '/'],
    ['#main', '/'],
    ['#/instances/', '/instances'],
    ['#/login?code=a?b', '/login'],
  ])('read %j as %j', (hash, path) => {
    expect(parseHash(hash).path).toBe(path);
  });

  it('match patterns part by part', () => {
    expect(matchPath('/instances/:id', '/instances/a%20b')).toEqual({ id: 'a b' });
    expect(matchPath('/instances/:id', '/instances')).toBeUndefined();
    expect(matchPath('/instances/:id', '/instances/%')).toEqual({ id: '%' });
  });
});

describe('durations and amounts', () => {
  it.each([
    ['1h', 60],
    ['1h 30m', 90],
    ['1.5 h', 90],
    ['2d', 2_880],
    ['45', 45],
    ['30 min', 30],
    ['0', undefined],
    ['soon', undefined],
    ['-1h', undefined],
    ['', undefined],
  ])('reads %j as %j minutes', (text, minutes) => {
    expect(parseMinutes(text)).toBe(minutes);
  });

  it('reads back every duration it offers', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 525_600 }), (minutes) => {
        expect(parseMinutes(formatMinutes(minutes))).toBe(minutes);
      }),
    );
  });

  it('writes spans with two units, and amounts with two digits or more', () => {
    expect([9_000, 1_634_000, 3_900_000, 183_600_000].map(formatSpan)).toEqual([
      '9s',
      '27m 14s',
      '1h 05m',
      '2d 3h',
    ]);
    expect([512, 84_200_000, 1_230_000_000].map(formatBytes)).toEqual(['512 B', '84 MB', '1.2 GB']);
  });
});
