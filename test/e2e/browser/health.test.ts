// Health on the dashboard, in a real browser: the figures, the master keys, a database that is gone, and the drain.
import { expect, it } from 'vitest';
import type { MasterKeyView } from '../../../src/api/contract.ts';
import { browserTestMs, openDashboard, patiently, violations } from '../../support/browser.ts';

const { daemon, browser } = await openDashboard({ ports: 4, proxied: true });
const page = await browser.open('#/health');

const confirm = (name: string) => page.getByRole('dialog').getByRole('button', { name, exact: true }).click();
const keyring = async (): Promise<readonly MasterKeyView[]> =>
  (await daemon.call<MasterKeyView[]>('GET', '/keyring')).body.data;

it('shows that all is well, and the figures behind it', { timeout: browserTestMs }, async () => {
  await page.getByText('Everything is as it should be.').waitFor();
  await page.getByText(/answers in [\d.]+ ms/).waitFor();
  await page.getByRole('heading', { name: /Isolation level L\d/ }).waitFor();
  await page.getByRole('row', { name: /test active/ }).waitFor();
});

it('adds a master key, seals again under it, and retires the old one', {
  timeout: browserTestMs,
}, async () => {
  await daemon.call('PUT', '/api-keys/github', { api_key: 'ghp_sealed_0001' });
  const [old] = await keyring();
  await page.getByRole('button', { name: 'Add a key…' }).click();
  await confirm('Add');
  await expect.poll(async () => (await keyring()).length, patiently).toBe(2);
  const retire = page.getByRole('button', { name: `Retire ${old?.key_id}` });
  await retire.waitFor();
  await retire.click();
  await confirm('Retire');
  // Something is sealed under it still: it is refused, and why is said in the dialog.
  await page.getByRole('dialog').getByRole('alert').waitFor();
  expect(await violations(page)).toEqual([]);
  await confirm('Cancel');
  await page.getByRole('button', { name: 'Seal again…' }).click();
  await confirm('Seal again');
  await page.getByText('1 API key sealed again').waitFor();
  await retire.click();
  await confirm('Retire');
  await retire.waitFor({ state: 'detached' });
  const states = new Map((await keyring()).map((key) => [key.key_id, key.state]));
  expect(states.get(old?.key_id ?? '')).not.toBe('decrypt');
});

it('says that the database is gone, keeps what was known, and comes back', {
  timeout: browserTestMs,
}, async () => {
  daemon.proxy?.cut();
  await page.getByText('The database does not answer.').first().waitFor();
  await page.getByText('Isolation level').waitFor();
  expect(await violations(page)).toEqual([]);
  await browser.shoot(page, 'health-database-gone');
  daemon.proxy?.reopen();
  await page.getByText('Everything is as it should be.').waitFor();
});

it('drains when the word was typed', { timeout: browserTestMs }, async () => {
  await page.getByRole('button', { name: 'Drain…' }).click();
  await page.getByRole('dialog').getByText('It takes no new work from now on').waitFor();
  await confirm('Drain');
  await page.getByText('Type exactly drain.').waitFor();
  await page.getByLabel('Type drain to go on').fill('drain');
  await page.keyboard.press('Enter');
  await page.getByText('Node test is draining: it takes no new work.').waitFor();
  expect((await daemon.call('POST', '/instances', { mcp_type: 'memory' })).body.code).toBe('draining');
});
