// docs/errors.md and the registry of errors are the same list: every code with its status, title and remedy, in the
// registry's order. docs/api.md ends in the table of routes.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { routes } from '../../src/api/routes.ts';
import { errorRegistry } from '../../src/base/errors.ts';
import { root } from '../support/source.ts';

const errorsFile = join(root, 'docs', 'errors.md');
const apiFile = join(root, 'docs', 'api.md');

function errorsText(): string {
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

/** The prose of docs/api.md as it is, and the routes as the table has them. */
function apiText(): string {
  const text = readFileSync(apiFile, 'utf8');
  const prose = text.split('| method and path |', 1)[0] ?? '';
  const rows = routes.map(
    ([method, path, access, operation]) =>
      `| \`${method} ${path.replaceAll(/:(\w+)/g, '{$1}')}\` | ${access} | ${operation.summary} |`,
  );
  return `${prose}${['| method and path | access | |', '|---|---|---|', ...rows, ''].join('\n')}`;
}

// "UPDATE_DOCS=1 vitest run test/unit/api-docs.test.ts" writes them anew.
if (process.env.UPDATE_DOCS === '1') {
  writeFileSync(errorsFile, errorsText());
  writeFileSync(apiFile, apiText());
}

it('docs/errors.md lists the registry', () => {
  expect(readFileSync(errorsFile, 'utf8')).toBe(errorsText());
});

it('docs/api.md lists the routes', () => {
  expect(readFileSync(apiFile, 'utf8')).toBe(apiText());
});
