// Tables that fit: what a terminal is shown is never wider than it, whatever stands in the cells; what is piped is
// never cut. Widths as terminals draw them.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { painter } from '../../src/cli/output.ts';
import { type Column, table } from '../../src/cli/table.ts';
import { cut, textWidth } from '../../src/cli/width.ts';

const plain = painter(process.stderr, { NO_COLOR: '1' });
const coloured = painter(process.stderr, { FORCE_COLOR: '1' });

describe('the width of', () => {
  it.each([
    ['', 0],
    ['abc', 3],
    ['naïve', 5],
    ['nai\u0308ve', 5],
    ['日本語', 6],
    ['한국어', 6],
    ['ｆｕｌｌ', 8],
    ['👍', 2],
    ['👩‍👩‍👧‍👦', 2],
    ['🇩🇪', 2],
    ['❤️', 2],
    ['✓', 1],
    ['…', 1],
    ['\u001b[32mrunning\u001b[39m', 7],
    ['a\u200bb', 2],
  ])('%j is %i', (text, width) => {
    expect(textWidth(text)).toBe(width);
  });
});

describe('a text that is cut', () => {
  it.each([
    ['everything', 6, 'every…'],
    ['everything', 10, 'everything'],
    ['日本語', 4, '日…'],
    ['日本語', 5, '日本…'],
    ['ab', 0, ''],
    ['ab', 1, '…'],
    ['\u001b[32mrunning\u001b[39m (bad)', 5, '\u001b[32mrunn…\u001b[39m'],
  ])('%j to %i columns', (text, columns, expected) => {
    expect(cut(text, columns)).toBe(expected);
  });

  it('is never wider than asked for, and ends every colour it began', () => {
    const text = fc.array(fc.constantFrom('a', '日', '👍', '\u001b[31m', '\u001b[39m', 'é', '👩‍👩‍👧‍👦'));
    fc.assert(
      fc.property(text, fc.nat(12), (parts, columns) => {
        const whole = parts.join('');
        const short = cut(whole, columns);
        expect(textWidth(short)).toBeLessThanOrEqual(Math.max(columns, 0));
        expect(short.split('\u001b[39m').length).toBe(whole.split('\u001b[39m').length);
      }),
    );
  });
});

const columns: readonly Column[] = [
  'NAME',
  { title: 'ID', yields: 2 },
  { title: 'ABOUT', yields: 3, least: 6 },
  'URL',
];
const rows = [
  ['scratch', '01a1fd25-aee4', 'Exercises every feature of MCP', 'http://127.0.0.1:3001/mcp'],
  ['日本語', '01a1fd25-bee5', 'Short', 'http://127.0.0.1:3002/mcp'],
];
const shown = (width: number | undefined): string[] =>
  table(columns, rows, { paint: plain, columns: width }).split('\n');

describe('a table', () => {
  it('is whole where it is piped, its columns straight under wide characters', () => {
    expect(shown(undefined)).toEqual([
      'NAME     ID             ABOUT                           URL',
      'scratch  01a1fd25-aee4  Exercises every feature of MCP  http://127.0.0.1:3001/mcp',
      '日本語   01a1fd25-bee5  Short                           http://127.0.0.1:3002/mcp',
    ]);
  });

  it('cuts what matters least, before it leaves anything out', () => {
    expect(shown(66)).toEqual([
      'NAME     ID             ABOUT            URL',
      'scratch  01a1fd25-aee4  Exercises ever…  http://127.0.0.1:3001/mcp',
      '日本語   01a1fd25-bee5  Short            http://127.0.0.1:3002/mcp',
    ]);
  });

  it('then leaves it out, and then the next; never cuts an address or an id', () => {
    expect(shown(55)[1]).toBe('scratch  01a1fd25-aee4  http://127.0.0.1:3001/mcp');
    expect(shown(40)[1]).toBe('scratch  http://127.0.0.1:3001/mcp');
  });

  it('fits every terminal, coloured or not', () => {
    const cell = fc.string({ unit: fc.constantFrom('a', 'b', ' ', '日', '👍', 'é'), maxLength: 40 });
    const line = fc.tuple(cell, cell, cell, cell);
    fc.assert(
      fc.property(fc.array(line, { maxLength: 5 }), fc.integer({ min: 1, max: 120 }), (cells, width) => {
        for (const paint of [plain, coloured]) {
          const lines = table(columns, cells, { paint, columns: width }).split('\n');
          expect(lines).toHaveLength(cells.length + 1);
          for (const text of lines) expect(textWidth(text)).toBeLessThanOrEqual(width);
        }
      }),
    );
  });
});
