// What the command line shows as it happens, over a supervisor that is killed and started again (on another port), and
// on a real terminal: `logs -f` without a lost or doubled line, `ls --watch` in place, the terminal left as it was.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { stripVTControlCharacters } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Daemon, startDaemon } from '../support/daemon.ts';
import { root } from '../support/source.ts';
import { addProgramType, answersThen } from '../support/types.ts';

const bin = join(root, 'bin', 'minimcp.js');
let daemon: Daemon;
beforeAll(async () => {
  daemon = await startDaemon({ ports: 6 });
  // A numbered line every few milliseconds, for as long as it lives.
  const counts = 'let n = 0; setInterval(() => console.error("line " + (n += 1)), 5);';
  await addProgramType(daemon, 'counter', answersThen(counts));
});
afterAll(() => daemon.dispose());

interface Running {
  readonly child: ChildProcess;
  text(): string;
  /** Resolves once what was written so far satisfies `isSo`. */
  until(isSo: (text: string) => boolean): Promise<void>;
}

/** Starts a program and reads along. */
function start(command: string, args: readonly string[]): Running {
  const env = {
    PATH: process.env.PATH,
    HOME: daemon.dataDir,
    MINIMCP_DATA_DIR: daemon.dataDir,
    TERM: 'xterm',
  };
  const child = spawn(command, args, { env, stdio: ['pipe', 'pipe', 'inherit'] });
  let text = '';
  let look = (): void => {};
  child.stdout.setEncoding('utf8').on('data', (chunk) => {
    text += chunk;
    look();
  });
  return {
    child,
    text: () => text,
    until: (isSo) =>
      new Promise((resolve, reject) => {
        look = () => isSo(text) && resolve();
        child.once('exit', (code) =>
          reject(new Error(`it ended with ${code} after:\n${text.slice(-2_000)}`)),
        );
        look();
      }),
  };
}

const cli = (...args: string[]): Running => start(process.execPath, [bin, ...args]);

async function endsWith(child: ChildProcess, signal: NodeJS.Signals): Promise<number | null> {
  const exited = once(child, 'exit');
  child.kill(signal);
  const [code] = await exited;
  return code as number | null;
}

describe('over a supervisor killed −9 and started again', { timeout: 120_000 }, () => {
  it('logs -f loses no line and doubles none', async () => {
    await daemon.create({ mcp_type: 'counter', name: 'counts', duration_minutes: 10 });
    const following = cli('logs', 'counts', '-f', '--source', 'process', '--json');
    const numbers = (): number[] =>
      following
        .text()
        .split('\n')
        .slice(0, -1)
        .flatMap((line) => /^line (\d+)$/.exec(JSON.parse(line).message)?.[1] ?? [])
        .map(Number);
    await following.until(() => numbers().length > 50);
    for (let round = 0; round < 2; round += 1) {
      await daemon.kill9();
      const before = numbers().at(-1) ?? 0;
      await daemon.start();
      await following.until(() => (numbers().at(-1) ?? 0) > before + 200);
    }
    expect(await endsWith(following.child, 'SIGINT')).toBe(0);
    const seen = numbers();
    expect(seen).toEqual(seen.map((_, at) => (seen[0] ?? 0) + at));
    await daemon.call('DELETE', `/instances/${(await one('counts')).id}`);
  });

  it('ls --watch tells every change once, and what is there no second time', async () => {
    await daemon.create({ mcp_type: 'memory', name: 'stays', duration_minutes: 10 });
    const watching = cli('ls', '--watch', '--json', '--type', 'memory');
    const documents = () =>
      watching
        .text()
        .split('\n')
        .slice(0, -1)
        .map((line) => JSON.parse(line) as { id: string; name?: string; status?: string; removed?: boolean });
    await watching.until(() => documents().some(({ name }) => name === 'stays'));
    await daemon.create({ mcp_type: 'memory', name: 'comes', duration_minutes: 10 });
    await watching.until(() =>
      documents().some(({ name, status }) => name === 'comes' && status === 'running'),
    );
    const { id } = await one('comes');
    await daemon.kill9();
    await daemon.start();
    await daemon.call('DELETE', `/instances/${id}`);
    await watching.until(() =>
      documents().some((document) => document.removed === true && document.id === id),
    );
    expect(await endsWith(watching.child, 'SIGINT')).toBe(0);
    const texts = watching.text().split('\n').slice(0, -1);
    const withoutTime = texts.map((line) => line.replace(/"server_time":"[^"]+"/, ''));
    expect(withoutTime.filter((line, at) => line === withoutTime[at - 1])).toEqual([]);
    expect(documents().filter(({ removed }) => removed)).toEqual([{ id, removed: true }]);
  });
});

describe('on a terminal', { timeout: 60_000 }, () => {
  /** A shell on a terminal of its own (util-linux), 100 columns wide. */
  const shell = (line: string): Running =>
    start('script', ['-qfec', `stty cols 100 rows 20; ${line}`, '/dev/null']);
  const command = `'${process.execPath}' '${bin}'`;

  it('ls --watch counts down in place and leaves the terminal as it was after Ctrl-C', async () => {
    const seen = shell(
      `trap : INT; stty -g; echo before; ${command} ls --watch --type memory; echo after $?; stty -g`,
    );
    const left = (): string[] =>
      [...seen.text().matchAll(/stays .*?in (\d+m \d\ds)/g)].map(([, span = '']) => span);
    await seen.until(() => new Set(left()).size >= 3);
    seen.child.stdin?.write('\u0003');
    await once(seen.child, 'exit');
    const text = seen.text();
    const [settings = ''] = text.split('\r\n');
    const order = [
      'before',
      '\u001b[?1049h\u001b[?25l',
      'stays',
      '\u001b[?25h\u001b[?1049l',
      'after 0',
      settings,
    ];
    let from = settings.length;
    for (const part of order) {
      const at = text.indexOf(part, from);
      expect(at, `${JSON.stringify(part)} after ${from} in ${JSON.stringify(text)}`).toBeGreaterThanOrEqual(
        from,
      );
      from = at + part.length;
    }
    // In place: between coming and going nothing scrolls.
    const [, drawn = ''] = text.split('\u001b[?1049h');
    const frames = (drawn.split('\u001b[?1049l')[0] ?? '').split('\u001b[H').slice(1);
    expect(frames.length).toBeGreaterThan(2);
    for (const frame of frames) expect(frame.split('\n').length).toBeLessThan(20);
  });

  it('tables are coloured and no wider than it', async () => {
    const seen = shell(`stty cols 60; ${command} types ls`);
    await once(seen.child, 'exit');
    expect(seen.text()).toContain('\u001b[1mTYPE');
    const lines = stripVTControlCharacters(seen.text()).split('\r\n');
    expect(lines.find((line) => line.startsWith('everything'))).toMatch(/…$/);
    expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(60);
  });
});

async function one(name: string): Promise<{ id: string }> {
  const { body } = await daemon.call<{ id: string; name: string }[]>('GET', '/instances?include_ended=true');
  const found = body.data.find((instance) => instance.name === name);
  if (found === undefined) throw new Error(`there is no ${name}`);
  return found;
}
