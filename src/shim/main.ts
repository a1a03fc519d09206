// The shim: one process that owns one instance and needs neither the supervisor nor the database to serve. It is
// told everything on standard input, starts the child before it loads the rest of itself, and ends with it.
// It exits 0 when the instance has ended as it should, 1 when the shim itself failed, 2 when it was told nonsense.
import { readFileSync, writeSync } from 'node:fs';
import { startChild } from './child.ts';
import { contractVersion, type LaunchSpec } from './contract.ts';
import { beFrugal } from './frugal.ts';

function readSpec(): LaunchSpec {
  try {
    const spec = JSON.parse(readFileSync(0, 'utf8')) as LaunchSpec;
    if (spec.contract !== contractVersion) throw new Error(`contract ${spec.contract} is not spoken here`);
    process.chdir(spec.bundleDir);
    return spec;
  } catch (error) {
    // Never the text itself: it holds secrets, and parsers quote what they could not read.
    const word = error instanceof SyntaxError ? 'not JSON' : (error as Error).message;
    writeSync(2, `minimcp shim: no launch specification on standard input: ${word}\n`);
    process.exit(2);
  }
}

process.umask(0o077);
// The shim's own few file writes need one thread, not four.
process.env.UV_THREADPOOL_SIZE = '1';
const spec = readSpec();
const child = startChild(spec.child);
// The child takes far longer to start than this does to load.
import('./run.ts')
  .then(({ run }) => {
    run(spec, child);
    beFrugal();
  })
  .catch((error: unknown) => {
    child.signal('SIGKILL');
    throw error;
  });
