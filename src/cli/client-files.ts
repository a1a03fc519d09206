// Where clients keep their configuration, and how ours is put there beside what is there already. Refuses to touch a
// file it cannot read as what it should be; writes in one step, for its owner only.
import { randomUUID } from 'node:crypto';
import { chmod, mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { Fault, messageOf } from '../base/errors.ts';
import type { ClientConfig, ClientName } from '../domain/client-config.ts';

export interface Place {
  readonly home: string;
  readonly cwd: string;
  readonly platform: NodeJS.Platform;
}

/** The file of a client, or undefined for one that has a command of its own or hides its settings. */
export function clientFile(client: ClientName, { home, cwd, platform }: Place): string | undefined {
  switch (client) {
    case 'claude-code-json':
      return join(cwd, '.mcp.json');
    case 'claude-desktop':
      if (platform === 'darwin') {
        return join(home, 'Library', 'Application Support', 'Claude', 'claude_desktop_config.json');
      }
      if (platform === 'win32')
        return join(home, 'AppData', 'Roaming', 'Claude', 'claude_desktop_config.json');
      return join(home, '.config', 'Claude', 'claude_desktop_config.json');
    case 'cursor':
      // The token is in it: the user's own file, not one that a project's repository would carry.
      return join(home, '.cursor', 'mcp.json');
    case 'vscode':
      return join(cwd, '.vscode', 'mcp.json');
    case 'codex':
      return join(home, '.codex', 'config.toml');
    case 'goose':
      return join(home, '.config', 'goose', 'config.yaml');
    case 'windsurf':
      return join(home, '.codeium', 'windsurf', 'mcp_config.json');
    case 'opencode':
      return join(home, '.config', 'opencode', 'opencode.json');
    case 'claude-code':
    case 'gemini':
    case 'cline':
    case 'roo':
      return undefined;
  }
}

/** A change of a file that has been looked at and can be made. */
export interface Plan {
  readonly file: string;
  readonly exists: boolean;
  readonly before: string;
}

/**
 * Looks whether `config` can be put into `file`.
 * @throws Fault illegal_in_status when what is there cannot be read, or is not ours to take apart
 */
export async function readPlan(file: string, config: ClientConfig): Promise<Plan> {
  const before = await readFile(file, 'utf8').catch((error: unknown) => {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw new Fault('illegal_in_status', `${file} cannot be read: ${messageOf(error)}`);
  });
  const plan: Plan = { file, exists: before !== undefined, before: before ?? '' };
  changed(plan, config);
  return plan;
}

/** Makes the change. Another writer between the look and this is not detected; clients do not lock their files. */
export async function writePlan(plan: Plan, config: ClientConfig): Promise<void> {
  const text = changed(plan, config);
  await mkdir(dirname(plan.file), { recursive: true });
  const draft = `${plan.file}.${randomUUID()}`;
  try {
    await writeFile(draft, text, { mode: 0o600, flag: 'wx' });
    await chmod(draft, 0o600);
    await rename(draft, plan.file);
  } catch (error) {
    await rm(draft, { force: true });
    throw error;
  }
}

function changed(plan: Plan, config: ClientConfig): string {
  if (config.format === 'json') {
    const merged = merge(parseObject(plan), config.document ?? {});
    return `${JSON.stringify(merged, null, 2)}\n`;
  }
  // TOML and YAML are only ever added to: taking them apart is not ours to do.
  const [firstLine = ''] = config.content.split('\n');
  if (plan.before.split(/\r?\n/).includes(firstLine)) {
    throw new Fault(
      'illegal_in_status',
      `${plan.file} has "${firstLine}" already: put this into it by hand, "minimcp config" prints it`,
    );
  }
  const gap =
    plan.before === '' || plan.before.endsWith('\n\n') ? '' : plan.before.endsWith('\n') ? '\n' : '\n\n';
  return `${plan.before}${gap}${config.content}\n`;
}

function parseObject(plan: Plan): Record<string, unknown> {
  if (plan.before.trim() === '') return {};
  let value: unknown;
  try {
    value = JSON.parse(plan.before);
  } catch (error) {
    throw new Fault(
      'illegal_in_status',
      `${plan.file} is not plain JSON (${messageOf(error)}): put this into it by hand, "minimcp config" prints it`,
    );
  }
  if (isObject(value)) return value;
  throw new Fault('illegal_in_status', `${plan.file} is not a JSON object`);
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Two levels deep: sections are joined, an entry of the same name is replaced as a whole, lists join by id. */
function merge(before: Record<string, unknown>, ours: Record<string, unknown>): Record<string, unknown> {
  const merged = { ...before };
  for (const [key, value] of Object.entries(ours)) {
    const there = before[key];
    if (isObject(there) && isObject(value)) merged[key] = { ...there, ...value };
    else if (Array.isArray(there) && Array.isArray(value)) merged[key] = joinById(there, value);
    else merged[key] = value;
  }
  return merged;
}

function joinById(there: readonly unknown[], ours: readonly unknown[]): unknown[] {
  const ids = new Set(ours.map((entry) => (isObject(entry) ? entry.id : undefined)));
  return [...there.filter((entry) => !(isObject(entry) && ids.has(entry.id))), ...ours];
}
