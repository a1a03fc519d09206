// npm run test:soak: random faults for a given time, the promises checked after each, and a table of what was done.
// --minutes 60 (default), --seed (default: a new one, printed: the same seed asks for the same faults again).
import { spawn } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { once } from 'node:events';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { root } from '../support/source.ts';

const { values } = parseArgs({
  options: { minutes: { type: 'string', default: '60' }, seed: { type: 'string' } },
});
const minutes = Number(values.minutes);
const seed = Number(values.seed ?? randomInt(1, 2 ** 31));
if (!(minutes > 0) || !Number.isInteger(seed)) {
  process.stderr.write('usage: npm run test:soak -- [--minutes 60] [--seed 1]\n');
  process.exit(2);
}
const child = spawn(
  process.execPath,
  [
    join(root, 'node_modules', 'vitest', 'vitest.mjs'),
    'run',
    '--config',
    join('test', 'soak', 'vitest.config.ts'),
  ],
  {
    cwd: root,
    stdio: 'inherit',
    env: { ...process.env, MINIMCP_SOAK_MINUTES: String(minutes), MINIMCP_SOAK_SEED: String(seed) },
  },
);
const [code] = await once(child, 'exit');
process.exit(code ?? 1);
