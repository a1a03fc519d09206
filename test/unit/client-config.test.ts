// Holds every client's configuration to a golden file, and the rules that all of them share: no token in a link,
// nothing guessed, nothing broken by odd names.
import { execFileSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import {
  type ClientConfig,
  clientConfig,
  clients,
  tokenPlaceholder,
  tokenVariable,
} from '../../src/domain/client-config.ts';

const url = 'http://127.0.0.1:3001/mcp';
const token = 'mcp_Zm9yLXRlc3RzLW9ubHktbm90LWEtcmVhbC10b2tlbi0';

function golden(config: ClientConfig): string {
  const parts = [
    `${config.title}: ${config.where}`,
    config.content,
    ...(config.link === null ? [] : [config.link]),
    ...(config.notes.length === 0 ? [] : [config.notes.join('\n')]),
  ];
  return `${parts.join('\n\n---\n\n')}\n`;
}

describe.each(clients)('%s', (client) => {
  it('is written as its client wants it', async () => {
    const config = clientConfig(client, { name: 'everything-1', url, token });
    await expect(golden(config)).toMatchFileSnapshot(`../fixtures/client-config/${client}.txt`);
  });

  it('carries no token in its link, and a placeholder where the token is unknown', () => {
    const config = clientConfig(client, { name: 'everything-1', url, token });
    const link = decodeURIComponent(config.link ?? '');
    expect(link).not.toContain(token);
    const inner = /config=([A-Za-z0-9+/=]+)/.exec(link)?.[1] ?? '';
    expect(Buffer.from(inner, 'base64').toString()).not.toContain(token);

    const unknown = clientConfig(client, { name: 'everything-1', url });
    expect(JSON.stringify(unknown)).not.toContain('undefined');
    expect(unknown.content.includes(tokenPlaceholder)).toBe(config.content.includes(token));
  });

  it('parses in its own format', () => {
    const config = clientConfig(client, { name: 'everything-1', url, token });
    if (config.format === 'json') expect(JSON.parse(config.content)).toEqual(config.document);
    if (config.format === 'command') {
      const words = execFileSync('sh', ['-c', `printf '%s\\0' ${config.content}`])
        .toString()
        .split('\0');
      expect(words.slice(0, -1)).toEqual(config.command);
    }
  });
});

it('quotes what a shell would take apart', () => {
  const config = clientConfig('claude-code', { name: 'a', url: 'http://h/mcp?a=$(id)&b=`x`', token: "it's" });
  const words = execFileSync('sh', ['-c', `printf '%s\\0' ${config.content}`])
    .toString()
    .split('\0');
  expect(words.slice(0, -1)).toEqual(config.command);
});

it('quotes names that YAML and TOML would read as something else', () => {
  expect(clientConfig('goose', { name: '123', url }).content).toContain('  "123":');
  expect(clientConfig('goose', { name: 'true', url }).content).toContain('  "true":');
  expect(clientConfig('codex', { name: 'a.b', url }).content).toContain('[mcp_servers."a.b"]');
});

it('gives each instance a variable of its own', () => {
  expect(tokenVariable('my-github-2')).toBe('MM_TOKEN_MY_GITHUB_2');
});
