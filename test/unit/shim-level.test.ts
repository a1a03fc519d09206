import { describe, expect, it } from 'vitest';
import { levelOf } from '../../src/shim/level.ts';

const lines: Record<ReturnType<typeof levelOf>, string[]> = {
  debug: [
    '{"level":20,"msg":"pino"}',
    '{"level":"trace"}',
    '[debug] connecting',
    '2026-11-21T07:00:00Z DEBUG connecting',
    '{"level":7,"short_message":"gelf"}',
    '<7>systemd',
  ],
  info: [
    'Server running on stdio',
    '{"level":30}',
    '{"level":"info","error":null}',
    '{"data":{"level":"error"}}',
    '{"not json',
    '{"level":{"deep":"error"}}',
    'no errors found, 0 warnings',
    'INFO:root:started',
    '[info] An ERROR page was shown',
    '[constructor] what every object has',
    '{"level":"constructor"}',
    'I1121 07:00:00.000000 glog',
    '    at Object.<anonymous> (index.js:1:1)',
    '',
    'null',
  ],
  warn: [
    '{"level":40}',
    '{"severity":"WARNING","message":"x"}',
    '{"level":4}',
    'WARN deprecated',
    'npm warn deprecated x@1',
    'WARNING: disk',
    '(warning) x',
    'time="x" level=warning msg="y"',
    'W1121 07:00:00 glog',
  ],
  error: [
    '{"level":50}',
    '{"level":60,"msg":"fatal"}',
    '{"severity":"CRITICAL"}',
    '[error] cannot connect',
    '[ERR] x',
    'ERROR: FIGMA_API_KEY is required',
    'error: unknown option',
    'Error: connect ECONNREFUSED',
    'TypeError: x is not a function',
    'Traceback (most recent call last):',
    'npm ERR! code 1',
    'npm error code 1',
    '2026-11-21 07:00:00,123 - root - ERROR - failed',
    'level=error msg=x',
    'E1121 07:00:00 glog',
    '<3>systemd',
  ],
};

describe('the level of a line', () => {
  for (const [level, examples] of Object.entries(lines)) {
    for (const line of examples) it(`${level}: ${line}`, () => expect(levelOf(line)).toBe(level));
  }

  it('costs no more for a line made to be slow', () => {
    const started = performance.now();
    for (let i = 0; i < 1_000; i++) levelOf(`{${'['.repeat(60_000)}`);
    for (let i = 0; i < 1_000; i++) levelOf(`${' '.repeat(30_000)}level=`.repeat(2));
    expect(performance.now() - started).toBeLessThan(2_000);
  });
});
