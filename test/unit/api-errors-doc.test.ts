// docs/errors.md and the registry of errors are the same list: every code with its status, title and remedy, in the
// registry's order, and no code that is not registered.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { errorRegistry } from '../../src/base/errors.ts';
import { root } from '../support/source.ts';

const file = join(root, 'docs', 'errors.md');

function expected(): string {
  const rows = Object.entries(errorRegistry).map(
    ([code, { status, title, remedy }]) => `| \`${code}\` | ${status} | ${title} | ${remedy} |`,
  );
  return [
    '# Errors',
    '',
    'Everything MiniMCP refuses, and everything that can fail, has one of these codes. Over HTTP they come as',
    '`application/problem+json` (RFC 9457): `type`, `title`, `status`, `code`, `detail`, `errors[]` (each a `pointer`',
    'and a `message`) and `request_id`, by which the log has the cause of what is ours. `detail` says what was wrong',
    'this time. A pointer is a JSON pointer into the body; `/query/NAME` and `/headers/NAME` point at the rest of the',
    'request. 429 and 503 always carry `Retry-After`, in seconds.',
    '',
    'The command line prints the same codes; those without an HTTP meaning of their own (`config_invalid`, `node_held`,',
    '`port_in_use`, `daemon_unreachable` …) only come from it, from the daemon at its start, or in `error_message` of an',
    'instance.',
    '',
    '| code | status | what it says | what to do |',
    '|---|---|---|---|',
    ...rows,
    '',
  ].join('\n');
}

// "UPDATE_DOCS=1 vitest run test/unit/api-errors-doc.test.ts" writes the file anew.
if (process.env.UPDATE_DOCS === '1') writeFileSync(file, expected());

it('docs/errors.md lists the registry', () => {
  expect(readFileSync(file, 'utf8')).toBe(expected());
});
