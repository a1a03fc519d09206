#!/usr/bin/env node
// The door of the command line on any Node from 20 on: hands over to the Node 24 that came with the install
// and refuses, with what to do, where there is none.
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import nodeModule, { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { setFlagsFromString } from 'node:v8';

const self = fileURLToPath(import.meta.url);
const root = join(dirname(self), '..');
const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);

if (major > 24 || (major === 24 && minor >= 7)) {
  // The daemon's young generation is to be as small as a shim's: it lives for weeks, and garbage collected late is memory it
  // would hold for good (a third of its size). Before anything is loaded, while the heap is still small. Commands are over
  // too soon to gain by it, and would lose node's own compiled code, which is good for other flags.
  if (process.argv[2] === 'up') {
    for (const flag of ['--max-semi-space-size=4', '--semi-space-growth-factor=1']) setFlagsFromString(flag);
  }
  // Beside the code and owned as it is: in the shared temporary directory, where Node would put it, another user of the
  // machine could lay compiled code for us to run. Enabled here, in plain JavaScript, so that a warm start strips no types;
  // after the flags, because code compiled for some is not taken for others.
  nodeModule.enableCompileCache(join(root, 'node_modules', '.cache', 'minimcp', 'compiled'));
  await import('../src/cli/main.ts');
} else {
  const node = bundledNode();
  if (node === undefined) {
    process.stderr.write(
      `minimcp needs Node 24.7 or later and found ${process.version}. ` +
        'Install it, or run "npm ci" again without --omit=optional: it brings Node 24 on Linux and Windows.\n',
    );
    process.exit(1);
  }
  const child = spawn(node, [self, ...process.argv.slice(2)], { stdio: 'inherit' });
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal));
  child.on('exit', (code, signal) => {
    if (signal === null) process.exit(code ?? 1);
    process.removeAllListeners(signal);
    process.kill(process.pid, signal);
  });
}

function bundledNode() {
  const name = `node-${process.platform === 'win32' ? 'win' : process.platform}-${process.arch}`;
  try {
    const manifest = createRequire(import.meta.url).resolve(`${name}/package.json`);
    const file = join(dirname(manifest), 'bin', process.platform === 'win32' ? 'node.exe' : 'node');
    return existsSync(file) ? file : undefined;
  } catch {
    return undefined;
  }
}
