// Looks for a secret everywhere it must not be: as it is and in every spelling that programs give text on its way into
// logs and documents. What is found is told as where and in which spelling, never with the secret.
import { execFile } from 'node:child_process';
import { lstatSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { TestDatabase } from './database.ts';
import { root } from './source.ts';

/** Every spelling of a secret that is looked for, by name. Of base64 the part that the secret alone decides. */
export function spellingsOf(secret: string): Record<string, string> {
  const percent = encodeURIComponent(secret);
  const json = JSON.stringify(secret).slice(1, -1);
  const ascii = json.replace(/[^ -~]/g, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`);
  const hex = Buffer.from(secret).toString('hex');
  const spellings: Record<string, string> = {
    plain: secret,
    percent,
    'percent, lower case': percent.replace(/%[0-9A-F]{2}/g, (code) => code.toLowerCase()),
    form: new URLSearchParams({ k: secret }).toString().slice(2),
    json,
    'json, ASCII': ascii,
    'json, ASCII, upper case': ascii.replace(
      /\\u[0-9a-f]{4}/g,
      (code) => `\\u${code.slice(2).toUpperCase()}`,
    ),
    'json in json': JSON.stringify(json).slice(1, -1),
    hex,
    'hex, upper case': hex.toUpperCase(),
  };
  for (const before of [0, 1, 2]) {
    const bytes = Buffer.concat([Buffer.alloc(before), Buffer.from(secret)]);
    const run = [before === 0 ? 0 : before + 1, Math.floor((bytes.length * 8) / 6)] as const;
    spellings[`base64, ${before} before`] = bytes.toString('base64').slice(...run);
    spellings[`base64url, ${before} before`] = bytes.toString('base64url').slice(...run);
  }
  return spellings;
}

/** Finds secrets in bytes. @returns the names of the spellings that are there */
export type Look = (bytes: Buffer) => string[];

export function lookFor(secrets: readonly string[]): Look {
  const needles = secrets.flatMap((secret, at) =>
    Object.entries(spellingsOf(secret)).map(
      ([name, text]) => [`secret ${at + 1}: ${name}`, Buffer.from(text)] as const,
    ),
  );
  return (bytes) => needles.filter(([, needle]) => bytes.includes(needle)).map(([name]) => name);
}

/** Looks into every file below a directory. @returns path and spelling of what was found, and how many files there were */
export function lookInFiles(dir: string, look: Look): { readonly files: number; readonly found: string[] } {
  let files = 0;
  const found: string[] = [];
  const queue = [dir];
  for (let at = queue.pop(); at !== undefined; at = queue.pop()) {
    for (const name of readdirIfThere(at)) {
      const path = join(at, name);
      const stats = lstatSync(path, { throwIfNoEntry: false });
      found.push(...look(Buffer.from(name)).map((what) => `the name of ${path}: ${what}`));
      if (stats?.isDirectory()) queue.push(path);
      if (!stats?.isFile()) continue;
      files += 1;
      found.push(...look(readIfThere(path)).map((what) => `${path}: ${what}`));
    }
  }
  return { files, found };
}

/** Looks at the command line and environment of every process. @returns pids by where it was found */
export function lookInProcesses(look: Look): { readonly cmdline: number[]; readonly environ: number[] } {
  const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name));
  const holding = (file: string): number[] =>
    pids.filter((pid) => look(readIfThere(join('/proc', pid, file))).length > 0).map(Number);
  return { cmdline: holding('cmdline'), environ: holding('environ') };
}

/** Everything in a database as text: every row of every table, the queue's included. */
export async function dumpOf({ connection }: Pick<TestDatabase, 'connection'>): Promise<string> {
  const script = join(root, 'test', 'support', 'dump.ts');
  const { host, port, user, database } = connection;
  const where = JSON.stringify({ host, port, user, database });
  const { stdout } = await promisify(execFile)(process.execPath, [script, where], { maxBuffer: 200_000_000 });
  return stdout;
}

function readdirIfThere(dir: string): string[] {
  try {
    return readdirSync(dir);
  } catch {
    return [];
  }
}

function readIfThere(path: string): Buffer {
  try {
    return readFileSync(path);
  } catch {
    return Buffer.alloc(0);
  }
}
