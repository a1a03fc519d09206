// Where clients keep their configuration, and the one way a file of theirs is changed: looked at first, then written in
// one step, for its owner only. What is changed in it is in client-text.ts.
import { mkdir, readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { replaceFile } from '../base/durable.ts';
import { Fault, messageOf } from '../base/errors.ts';
import type { ClientConfig, ClientName } from '../domain/client-config.ts';
import { withEntry } from './client-text.ts';

export interface Place {
  readonly home: string;
  readonly cwd: string;
  readonly platform: NodeJS.Platform;
}

/** Where programs keep what is theirs, by platform. */
function applicationData({ home, platform }: Place): string {
  if (platform === 'darwin') return join(home, 'Library', 'Application Support');
  return platform === 'win32' ? join(home, 'AppData', 'Roaming') : join(home, '.config');
}

/** The file of a client, or undefined for one that has a command of its own. */
export function clientFile(client: ClientName, place: Place): string | undefined {
  const { home, cwd } = place;
  const extension = join(applicationData(place), 'Code', 'User', 'globalStorage');
  switch (client) {
    case 'claude-code-json':
      return join(cwd, '.mcp.json');
    case 'claude-desktop':
      return join(applicationData(place), 'Claude', 'claude_desktop_config.json');
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
    case 'cline':
      return join(extension, 'saoudrizwan.claude-dev', 'settings', 'cline_mcp_settings.json');
    case 'roo':
      return join(extension, 'rooveterinaryinc.roo-cline', 'settings', 'mcp_settings.json');
    case 'opencode':
      return join(home, '.config', 'opencode', 'opencode.json');
    case 'claude-code':
    case 'gemini':
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
  const before = await readText(file);
  const plan: Plan = { file, exists: before !== undefined, before: before ?? '' };
  withEntry(file, plan.before, config);
  return plan;
}

/**
 * Makes the change. Another writer between the look and this is not detected; clients do not lock their files.
 * @returns the text the file now has
 */
export async function writePlan(plan: Plan, config: ClientConfig): Promise<string> {
  const text = withEntry(plan.file, plan.before, config);
  await writeWhole(plan.file, text);
  return text;
}

/** The text of a file; undefined when there is none. @throws Fault illegal_in_status when it cannot be read */
export async function readText(file: string): Promise<string | undefined> {
  return readFile(file, 'utf8').catch((error: unknown) => {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw new Fault('illegal_in_status', `${file} cannot be read: ${messageOf(error)}`);
  });
}

/** Writes a file in one step, for its owner only. */
export async function writeWhole(file: string, text: string): Promise<void> {
  await mkdir(dirname(file), { recursive: true });
  await replaceFile(file, text, 0o600);
}
