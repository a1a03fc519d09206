// What comes from outside, on the dashboard in a real browser: a type from npm, tried and switched on by an admin's yes; and
// a new API key, put into what runs.
import { afterAll, describe, expect, it } from 'vitest';
import type { McpTypeView } from '../../../src/api/contract.ts';
import { browserTestMs, openDashboard, overflows, patiently, violations } from '../../support/browser.ts';
import { openNpmRegistry } from '../../support/npm-registry.ts';
import { addProgramType } from '../../support/types.ts';

/** Answers with one tool; a key that begins with "refused" makes it exit. */
const server = `
  if ((process.env.A_KEY ?? '').startsWith('refused')) { console.error('this key is not known'); process.exit(3); }
  const tools = [{ name: 'look', description: 'Looks around', inputSchema: { type: 'object' } }];
  const answers = {
    initialize: { protocolVersion: '2025-06-18', capabilities: { tools: {} }, serverInfo: { name: 'far', version: '3.2.1' } },
    'tools/list': { tools },
  };
  let text = '';
  process.stdin.on('data', (chunk) => {
    text += chunk;
    for (let end = text.indexOf('\\n'); end >= 0; end = text.indexOf('\\n')) {
      const { id, method } = JSON.parse(text.slice(0, end));
      text = text.slice(end + 1);
      const result = answers[method] ?? { content: [] };
      if (id !== undefined) process.stdout.write(JSON.stringify({ jsonrpc: '2.0', id, result }) + '\\n');
    }
  }).on('end', () => process.exit(0));`;

const registry = await openNpmRegistry();
afterAll(() => registry.close());
const { daemon, browser } = await openDashboard({ ports: 6, env: { MINIMCP_NPM_REGISTRY: registry.url } });

describe('a type from npm', { timeout: browserTestMs }, () => {
  it('is added switched off, shows what trying it has shown, is switched on, and removed again', async () => {
    const manifest = { name: 'far', version: '1.0.0', type: 'module', bin: 'server.mjs', license: 'MIT' };
    await registry.publish({ ...manifest, description: 'The far one' }, { 'server.mjs': server });
    const read = async () => (await daemon.call<McpTypeView>('GET', '/mcp-types/far')).body.data;
    const page = await browser.open('#/types?add=1');
    const dialog = page.getByRole('dialog');
    await dialog.getByLabel('npm package or server.json').fill('npm:nowhere');
    await dialog.getByRole('button', { name: 'Add', exact: true }).click();
    await dialog.getByRole('alert').waitFor();
    await dialog.getByLabel('npm package or server.json').fill('npm:far');
    await dialog.getByRole('button', { name: 'Add', exact: true }).click();
    await page.getByText('and answered.').waitFor();
    expect(new URL(page.url()).hash).toBe('#/types/far');
    await page.getByText('Looks around').waitFor();
    await page.getByText('far 3.2.1').waitFor();
    expect(await read()).toMatchObject({ is_active: false, source: 'npm:far@1.0.0' });
    expect(await violations(page)).toEqual([]);
    await browser.shoot(page, 'type-from-npm');
    await page.setViewportSize({ width: 360, height: 740 });
    expect(await overflows(page)).toBe(false);
    await browser.shoot(page, 'type-from-npm-360');

    await page.getByRole('switch').click();
    await page.getByRole('link', { name: 'Ask for one' }).waitFor();
    expect((await read()).is_active).toBe(true);
    const triedAt = (await read()).trial?.at;
    await page.getByRole('button', { name: 'Try it again' }).click();
    await expect.poll(async () => (await read()).trial?.at, patiently).not.toBe(triedAt);
    await page.getByRole('button', { name: 'Remove…' }).click();
    await dialog.getByRole('button', { name: 'Remove', exact: true }).click();
    await page.getByRole('heading', { name: 'Types' }).waitFor();
    expect((await daemon.call('GET', '/mcp-types/far')).status).toBe(404);
    await page.context().close();
  });
});

describe('a new key', { timeout: browserTestMs }, () => {
  it('goes into what runs, each named with what became of it', async () => {
    await addProgramType(daemon, 'keyed', server);
    await daemon.database.db.query(`UPDATE mcp_types SET key_variable = 'A_KEY' WHERE name = 'keyed'`);
    const { token } = await daemon.user('roller');
    await daemon.call('PUT', '/api-keys/keyed', { api_key: 'first-key-0001' }, token);
    const { id } = await daemon.create({ mcp_type: 'keyed', duration_minutes: 30, name: 'locked' }, token);
    await daemon.until(id, 'running');
    const page = await browser.open('#/keys?type=keyed', { token });
    const dialog = page.getByRole('dialog');
    const replace = async (key: string): Promise<void> => {
      await dialog.getByLabel('API key').fill(key);
      await dialog.getByRole('button', { name: 'Replace', exact: true }).click();
    };
    await replace('second-key-0002');
    await dialog
      .getByRole('heading', { name: /1 instance (?:went on|restarted) with the new key/ })
      .waitFor();
    await dialog.getByRole('link', { name: 'locked' }).waitFor();
    expect(await violations(page)).toEqual([]);
    await dialog.getByRole('button', { name: 'Done' }).click();
    await page.getByRole('button', { name: /^Replace the key/ }).click();
    await replace('refused-key-0003');
    await dialog.getByRole('heading', { name: /1 instance did not start with the new key/ }).waitFor();
    await dialog.getByText('this key is not known').first().waitFor();
    await browser.shoot(page, 'key-refused');
    expect((await daemon.get(id)).status).toBe('running');
    await daemon.call('DELETE', `/instances/${id}`, undefined, token);
    await page.context().close();
  });
});
