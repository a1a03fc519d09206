// Completion as the shells do it: bash is run for real on every machine, zsh and fish where they are installed. The
// scripts ask the program, and the program asks a real supervisor.
import { spawnSync } from 'node:child_process';
import { chmod, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { shells } from '../../src/cli/completion-scripts.ts';
import { run } from '../support/clients.ts';
import { type Daemon, startDaemon } from '../support/daemon.ts';
import { root } from '../support/source.ts';

const bin = join(root, 'bin', 'minimcp.js');
let daemon: Daemon;
let path: string;
beforeAll(async () => {
  daemon = await startDaemon({ ports: 4 });
  await daemon.create({ mcp_type: 'memory', name: 'notes-one', duration_minutes: 10 });
  await daemon.create({ mcp_type: 'memory', name: 'notes-two', duration_minutes: 10 });
  path = join(daemon.dataDir, 'path');
  await mkdir(path);
  await writeFile(join(path, 'minimcp'), `#!/bin/sh\nexec '${process.execPath}' '${bin}' "$@"\n`);
  await chmod(join(path, 'minimcp'), 0o755);
  for (const shell of shells) {
    const { stdout } = await run(process.execPath, [bin, 'completion', shell]);
    await writeFile(join(path, `completion.${shell}`), stdout);
  }
});
afterAll(() => daemon.dispose());

/** Runs `code` in a shell that has the script and `minimcp` on its path. @returns the lines it printed */
async function inShell(
  shell: string,
  args: readonly string[],
  code: string,
  dataDir = daemon.dataDir,
): Promise<string[]> {
  const env = { PATH: `${path}:${process.env.PATH}`, HOME: daemon.dataDir, MINIMCP_DATA_DIR: dataDir };
  const script = join(path, `completion.${shell}`);
  const ended = await run(shell, [...args, '-c', code.replace('SCRIPT', script)], { env });
  expect({ code: ended.code, stderr: ended.stderr }).toEqual({ code: 0, stderr: '' });
  return ended.stdout.split('\n').filter((line) => line !== '');
}

/** What bash offers for words as its readline would split them; the last is being typed. */
function bash(words: readonly string[], dataDir?: string): Promise<string[]> {
  const quoted = words.map((word) => `'${word}'`).join(' ');
  const ask = `. SCRIPT; COMP_WORDS=(${quoted}); COMP_CWORD=${words.length - 1}
    function_of() { local words; read -ra words <<< "$(complete -p minimcp)"; echo "\${words[2]}"; }
    "$(function_of)" minimcp; printf '%s\\n' "\${COMPREPLY[@]}"`;
  return inShell('bash', ['--norc', '--noprofile'], ask, dataDir);
}

describe('bash', { timeout: 60_000 }, () => {
  it.each([
    ['commands', ['minimcp', 'st'], ['status', 'stats', 'stop']],
    ['commands below others', ['minimcp', 'types', 'e'], ['enable']],
    ['options', ['minimcp', 'logs', 'x', '--fo'], ['--follow', '--format']],
    ['options that were not given yet', ['minimcp', 'logs', '--follow', '--fo'], ['--format']],
    [
      'choices of arguments',
      ['minimcp', 'connect', 'x', 'cl'],
      ['claude-code', 'claude-code-json', 'claude-desktop', 'cline'],
    ],
    ['choices of options', ['minimcp', 'logs', 'x', '--level', ''], ['debug', 'info', 'warn', 'error']],
    ['durations', ['minimcp', 'extend', 'x', '--ttl', '1'], ['15m', '1h', '1d']],
    ['instances', ['minimcp', 'stop', 'notes-'], ['notes-two', 'notes-one']],
    ['instances as a value', ['minimcp', 'events', '--instance', 'notes-o'], ['notes-one']],
    ['types', ['minimcp', 'run', 'm'], ['memory']],
    ['types as a value', ['minimcp', 'ls', '--type', 'ev'], ['everything']],
    ['settings', ['minimcp', 'settings', 'get', 'mcp.dr'], ['mcp.drain_seconds']],
    ['users', ['minimcp', 'users', 'show', 'adm'], ['admin']],
    ['nothing after the last argument', ['minimcp', 'show', 'notes-one', ''], []],
    ['nothing for what is not known', ['minimcp', 'run', 'zzz'], []],
  ])('%s', async (_, words, expected) => {
    const offered = await bash(words);
    // Bash splits words at "@", so that an address is offered whole and completed to its first part.
    expect(offered.map((word) => word.replace(/@.*/, ''))).toEqual(expected);
  });

  it('still offers commands and options where no daemon runs', async () => {
    const nowhere = join(daemon.dataDir, 'nowhere');
    expect(await bash(['minimcp', 'doc'], nowhere)).toEqual(['doctor']);
    expect(await bash(['minimcp', 'stop', ''], nowhere)).toEqual([]);
  });
});

const has = (shell: string): boolean => spawnSync(shell, ['-c', 'true']).status === 0;

describe.skipIf(!has('fish'))('fish, where it is installed', { timeout: 60_000 }, () => {
  it.each([
    ['minimcp stop notes-o', ['notes-one\tmemory, running']],
    ['minimcp logs x --level ', ['debug', 'error', 'info', 'warn']],
    ['minimcp types add /etc/hostn', ['/etc/hostname']],
  ])('%s', async (line, expected) => {
    expect(await inShell('fish', ['--no-config'], `source SCRIPT; complete -C '${line}'`)).toEqual(expected);
  });
});

describe.skipIf(!has('zsh'))('zsh, where it is installed', { timeout: 60_000 }, () => {
  // Without a line editor there is nobody to describe to: what would be offered is printed instead.
  const setup = `autoload -Uz compinit; compinit -D -u; source SCRIPT
    _describe() { print -l -- "\${(P@)2}" }; _files() { print FILES }`;

  it.each([
    [['minimcp', 'stop', 'notes-o'], ['notes-one:memory, running']],
    [
      ['minimcp', 'logs', 'x', '--level', ''],
      ['debug', 'info', 'warn', 'error'],
    ],
    [['minimcp', 'types', 'add', ''], ['FILES']],
  ])('%j', async (words, expected) => {
    const quoted = words.map((word) => `'${word}'`).join(' ');
    const ask = `${setup}; words=(${quoted}); CURRENT=${words.length}; $_comps[minimcp]`;
    expect(await inShell('zsh', ['-f'], ask)).toEqual(expected);
  });
});
