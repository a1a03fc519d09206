// The floor of every start: `node server`, initialize, its answer. Nothing of ours stands between.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { monotonicMs } from '../../src/base/clock.ts';

export interface RawSpawn {
  readonly script: string;
  readonly args?: readonly string[];
  readonly env: Readonly<Record<string, string>>;
}

const initialize = JSON.stringify({
  jsonrpc: '2.0',
  id: 1,
  method: 'initialize',
  params: {
    protocolVersion: '2025-11-25',
    capabilities: {},
    clientInfo: { name: 'bench', version: '1.0.0' },
  },
});

/** Starts a stdio server, waits for its answer to initialize, ends it. @returns milliseconds from spawn to answer */
export async function rawSpawn({ script, args = [], env }: RawSpawn): Promise<number> {
  const startMs = monotonicMs();
  const process_ = spawn(process.execPath, [script, ...args], { env, stdio: ['pipe', 'pipe', 'ignore'] });
  process_.stdin.write(`${initialize}\n`);
  try {
    await answered(process_);
    return monotonicMs() - startMs;
  } finally {
    const gone = once(process_, 'exit');
    process_.kill('SIGKILL');
    await gone;
  }
}

function answered(process_: ChildProcess): Promise<void> {
  return new Promise((resolve, reject) => {
    let text = '';
    process_.stdout?.on('data', (chunk: Buffer) => {
      text += chunk.toString('utf8');
      if (text.includes('"serverInfo"')) resolve();
    });
    process_.once('exit', () => reject(new Error('the server ended before it answered')));
  });
}

/** So many at once. @returns milliseconds until the first and until the last has answered */
export async function rawSpawns(spec: RawSpawn, count: number): Promise<{ firstMs: number; allMs: number }> {
  const tookMs = await Promise.all(Array.from({ length: count }, () => rawSpawn(spec)));
  return { firstMs: Math.min(...tookMs), allMs: Math.max(...tookMs) };
}
