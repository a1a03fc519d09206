// The demo and the daemon in the foreground, on the embedded database: what the README's first command shows, and that
// nothing is left of it, however it ends.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { run } from '../support/clients.ts';
import { root } from '../support/source.ts';

const bin = join(root, 'bin', 'minimcp.js');
let scratch: string;
const started: ChildProcess[] = [];

beforeEach(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'mm-'));
  // As root the database runs as another user, who must be able to pass.
  await chmod(scratch, 0o711);
});
afterEach(async () => {
  // Only a test that failed has left anything.
  for (const pid of processesOf(scratch)) process.kill(Number(pid), 'SIGKILL');
  for (const child of started.splice(0)) child.kill('SIGKILL');
  await rm(scratch, { recursive: true, force: true, maxRetries: 5 });
});

/** Processes with `text` in their command line, or that stand in a directory of that name. */
function processesOf(text: string): string[] {
  return readdirSync('/proc').filter((pid) => {
    if (!/^\d+$/.test(pid) || pid === String(process.pid)) return false;
    try {
      return (
        readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(text) ||
        readlinkSync(`/proc/${pid}/cwd`).includes(text)
      );
    } catch {
      return false;
    }
  });
}

function start(
  args: readonly string[],
  env: Record<string, string>,
): { child: ChildProcess; seen: (text: string) => Promise<string> } {
  const child = spawn(process.execPath, [bin, ...args], {
    env: { PATH: process.env.PATH, HOME: scratch, TMPDIR: scratch, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  started.push(child);
  let output = '';
  const waiting: (() => void)[] = [];
  for (const stream of [child.stdout, child.stderr]) {
    stream?.on('data', (chunk) => {
      output += chunk;
      for (const look of waiting) look();
    });
  }
  const seen = (text: string): Promise<string> =>
    new Promise((resolve, reject) => {
      const look = (): void => {
        if (output.includes(text)) resolve(output);
      };
      waiting.push(look);
      child.once('exit', (code) => reject(new Error(`ended with ${code} before "${text}":\n${output}`)));
      look();
    });
  return { child, seen };
}

it('shows the whole life of an instance and leaves nothing behind', { timeout: 120_000 }, async () => {
  const { code, stdout, stderr } = await run(process.execPath, [bin, 'demo', '--json'], {
    env: { HOME: scratch, TMPDIR: scratch },
  });
  expect({ code, stderr }).toMatchObject({ code: 0 });
  const findings = JSON.parse(stdout);
  expect(findings).toMatchObject({
    status: 'expired',
    port_free: true,
    url_dead: true,
    receipt: { processes: 0 },
  });
  expect(findings.tools).toContain('echo');
  expect(findings.echo).toContain('hello from a process of your own');
  expect(findings.log_lines).toBeGreaterThan(0);
  expect(stderr).toMatch(/Ready to paste into a client[\s\S]*"mcpServers"/);
  expect(processesOf(scratch)).toEqual([]);
  expect(readdirSync(scratch).filter((name) => name.startsWith('minimcp'))).toEqual([]);
});

it('ends everything when it is interrupted', { timeout: 120_000 }, async () => {
  const { child, seen } = start(['demo'], {});
  await seen('Its log, live');
  expect(processesOf(scratch).length).toBeGreaterThan(1);
  child.kill('SIGINT');
  const [code] = await once(child, 'exit');
  expect(code).toBe(130);
  expect(processesOf(scratch)).toEqual([]);
  expect(readdirSync(scratch).filter((name) => name.startsWith('minimcp'))).toEqual([]);
});

it('runs in the foreground until it is told to go down, with its instances', {
  timeout: 120_000,
}, async () => {
  const env = { MINIMCP_DATA_DIR: join(scratch, 'data'), MINIMCP_PORT: '0', MINIMCP_PORT_RANGE: '9700-9707' };
  const { child, seen } = start(['up'], env);
  const exited = once(child, 'exit');
  await seen('"msg":"ready"');
  const cli = (...args: string[]) => run(process.execPath, [bin, ...args], { env });
  expect((await cli('run', 'everything', '--ttl', '5m')).code).toBe(0);
  const down = await cli('down', '--instances', '--json');
  expect({ code: down.code, document: JSON.parse(down.stdout) }).toMatchObject({
    code: 0,
    document: { stopped: true, instances_ended: 1 },
  });
  expect((await exited)[0]).toBe(0);
  expect(processesOf(scratch)).toEqual([]);
  expect(existsSync(join(env.MINIMCP_DATA_DIR, 'daemon.json'))).toBe(false);
  expect(JSON.parse((await cli('down', '--json')).stdout)).toMatchObject({ stopped: false });
});
