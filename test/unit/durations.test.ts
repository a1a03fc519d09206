// Durations as people write them, and times as they read them.
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { formatSpan, parseMinutes, relative } from '../../src/cli/durations.ts';

it.each([
  ['1h', 60],
  ['90m', 90],
  ['30s', 0.5],
  ['1h30m', 90],
  ['1d12h', 2_160],
  ['1.5h', 90],
  ['45', 45],
  ['0.5', 0.5],
  [' 2H ', 120],
  ['1h30m30s', 90.5],
])('reads %s as %d minutes', (text, minutes) => {
  expect(parseMinutes(text)).toBe(minutes);
});

it.each([
  '',
  'h',
  '1x',
  '-5',
  '-1h',
  '0',
  '0s',
  '1h1h',
  '30s1h',
  '1 h',
  '1e9',
  'NaN',
  'Infinity',
  '١h',
  '1h '.repeat(2),
])('refuses %j and says what would be right', (text) => {
  expect(() => parseMinutes(text)).toThrow(/is not a duration: write 1h, 90m|ask for more than 0/);
});

it('reads back every whole number of seconds', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 10_000_000 }), (seconds) => {
      expect(Math.round(parseMinutes(`${seconds}s`) * 60)).toBe(seconds);
    }),
  );
});

it.each([
  [0, '0s'],
  [-5_000, '0s'],
  [9_400, '9s'],
  [59_600, '1m 00s'],
  [27 * 60_000 + 14_000, '27m 14s'],
  [65 * 60_000, '1h 05m'],
  [51 * 3_600_000, '2d 3h'],
])('shows %d ms as %s', (ms, text) => {
  expect(formatSpan(ms)).toBe(text);
});

it('shows times relative to the server, whatever the clock here says', () => {
  const server = '2031-01-01T12:00:00Z';
  expect(relative('2031-01-01T12:27:14Z', server)).toBe('in 27m 14s');
  expect(relative('2031-01-01T11:59:51+00:00', server)).toBe('9s ago');
  expect(relative(null, server)).toBe('-');
});
