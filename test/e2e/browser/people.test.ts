// Users, tokens and events on the dashboard, in a real browser: who may come in, with what, and what they did.
import { readFile } from 'node:fs/promises';
import type { Page } from 'playwright-core';
import { describe, expect, it } from 'vitest';
import type { ApiTokenView, UserView } from '../../../src/api/contract.ts';
import {
  browserTestMs,
  confirm,
  dialog,
  openDashboard,
  patiently,
  press,
  row,
  violations,
} from '../../support/browser.ts';

const { daemon, browser } = await openDashboard({ ports: 4 });

const choose = async (page: Page, email: string, item: string): Promise<void> => {
  await press(page, `More for ${email}`);
  await page.getByRole('menuitem', { name: item }).click();
};
const statusFor = async (token: string): Promise<number> =>
  (await daemon.call('GET', '/me', undefined, token)).status;
const users = async (): Promise<readonly UserView[]> =>
  (await daemon.call<UserView[]>('GET', '/users')).body.data;

describe('users', { timeout: browserTestMs }, () => {
  it('are made and changed, with what is refused at its field', async () => {
    const page = await browser.open('#/users');
    await press(page, 'New user');
    await dialog(page).getByLabel('E-mail').fill('bea');
    await dialog(page).getByLabel('Name').fill('Bea');
    await confirm(page, 'Make');
    await dialog(page).locator('.field-error').waitFor();
    expect(await violations(page)).toEqual([]);
    await dialog(page).getByLabel('E-mail').fill('bea@example.test');
    await dialog(page).getByLabel('Instances at most').fill('3');
    await confirm(page, 'Make');
    await row(page, 'bea@example.test').waitFor();
    await press(page, 'Edit bea@example.test');
    await dialog(page).getByLabel('Instances at most').fill('');
    await dialog(page).getByLabel('Role').selectOption('admin');
    await confirm(page, 'Save');
    await row(page, 'bea@example.test').getByText('as set for all').waitFor();
    const bea = (await users()).find(({ email }) => email === 'bea@example.test');
    expect(bea).toMatchObject({ role: 'admin', max_instances: null });
    await page.context().close();
  });

  it('are disabled and enabled, exported, and erased when their address was typed', async () => {
    const { id, token } = await daemon.user('carl');
    const email = 'carl@example.test';
    const page = await browser.open('#/users');
    await choose(page, email, 'Disable…');
    await dialog(page).getByText('Their instances are stopped').waitFor();
    await confirm(page, 'Disable');
    await row(page, email).getByText('disabled').waitFor();
    expect(await statusFor(token)).toBe(401);
    await choose(page, email, 'Enable…');
    await confirm(page, 'Enable');
    await row(page, email).getByText('enabled').waitFor();
    expect(await statusFor(token)).toBe(200);

    const downloading = page.waitForEvent('download');
    await choose(page, email, 'Export their data');
    const lines = (await readFile(await (await downloading).path(), 'utf8')).trim().split('\n');
    expect(JSON.parse(lines.at(-1) ?? '')).toMatchObject({ kind: 'end' });
    expect(lines.join()).toContain(email);

    await choose(page, email, 'Erase…');
    await dialog(page).getByLabel(`Type ${email} to go on`).fill('carl');
    await confirm(page, 'Erase');
    await dialog(page).getByText(`Type exactly ${email}.`).waitFor();
    expect((await users()).some((user) => user.id === id)).toBe(true);
    await dialog(page).getByLabel(`Type ${email} to go on`).fill(email);
    await confirm(page, 'Erase');
    await page.getByText(`${email} is erased`).waitFor();
    await row(page, email).waitFor({ state: 'detached' });
    expect((await daemon.call('GET', `/users/${id}`)).status).toBe(404);
    await page.context().close();
  });
});

describe('tokens', { timeout: browserTestMs }, () => {
  it('are made with their limits, shown once, and revoked', async () => {
    const page = await browser.open('#/tokens');
    await press(page, 'New token');
    await confirm(page, 'Make');
    await dialog(page).getByText('Give it a name.').waitFor();
    await dialog(page).getByLabel('Name').fill('laptop');
    await dialog(page).getByLabel('Only from networks').fill('everywhere');
    await confirm(page, 'Make');
    await dialog(page).locator('.field-error').waitFor();
    await dialog(page).getByLabel('Only from networks').fill('127.0.0.0/8, ::1/128');
    await dialog(page).getByLabel('Requests a minute').fill('90');
    await dialog(page).getByRole('checkbox', { name: 'keys:write' }).uncheck();
    await confirm(page, 'Make');
    await dialog(page).getByText('Shown only now').waitFor();
    const token = (await dialog(page).locator('.copy-line code').textContent()) ?? '';
    await press(page, 'Copy the API token');
    expect(await page.evaluate('navigator.clipboard.readText()')).toBe(token);
    expect(await statusFor(token)).toBe(200);
    await confirm(page, 'Done');
    await row(page, 'laptop').getByText('127.0.0.0/8').waitFor();
    expect(await page.content()).not.toContain(token);
    const made = (await daemon.call<ApiTokenView[]>('GET', '/tokens')).body.data.find(
      ({ name }) => name === 'laptop',
    );
    expect(made).toMatchObject({
      scopes: ['instances:read', 'instances:write', 'keys:read'],
      allowed_cidrs: ['127.0.0.0/8', '::1/128'],
      rate_limit_per_minute: 90,
    });

    await press(page, 'Revoke laptop');
    await confirm(page, 'Revoke');
    await row(page, 'laptop').waitFor({ state: 'detached' });
    expect(await statusFor(token)).toBe(401);
    await page.context().close();
  });

  it('are made for a user by an admin, and the own data is downloaded', async () => {
    const { id } = await daemon.user('dora');
    const page = await browser.open('#/users');
    await choose(page, 'dora@example.test', 'New token for them…');
    await expect.poll(() => dialog(page).getByLabel('Whose').inputValue(), patiently).toBe(id);
    await dialog(page).getByLabel('Name').fill('hers');
    await confirm(page, 'Make');
    const token = (await dialog(page).locator('.copy-line code').textContent()) ?? '';
    expect((await daemon.call<UserView>('GET', '/me', undefined, token)).body.data.id).toBe(id);
    await confirm(page, 'Done');
    const downloading = page.waitForEvent('download');
    await press(page, 'Download your data');
    expect(await readFile(await (await downloading).path(), 'utf8')).toContain('"kind":"end"');
    await page.context().close();
  });
});

describe('events', { timeout: browserTestMs }, () => {
  it('are told in sentences, with what was before and after, and come by themselves', async () => {
    const page = await browser.open('#/events');
    await page
      .getByRole('row', { name: /Logged in/ })
      .first()
      .waitFor();
    await daemon.call('PUT', '/settings/mcp.warn_before_minutes', { value: 11 });
    const told = row(page, 'Setting mcp.warn_before_minutes changed to 11');
    await told.getByText('Details').click();
    expect(await told.locator('del').textContent()).toBe('5');
    expect(await told.locator('ins').textContent()).toBe('11');
    expect(await told.textContent()).toContain('you from 127.0.0.1');
    expect(await violations(page)).toEqual([]);
    await page.context().close();
  });

  it('are narrowed in the address, to a person, a type, an instance, a time', async () => {
    const { id, token } = await daemon.user('erik');
    const { id: instance } = await daemon.create({ mcp_type: 'memory', duration_minutes: 30 }, token);
    const page = await browser.open(`#/events?user=${id}`);
    await row(page, 'Answered MCP: it runs').waitFor();
    await page.getByLabel('What happened').selectOption('created');
    await expect.poll(() => page.locator('tbody tr').count(), patiently).toBe(1);
    await page.reload();
    await expect.poll(() => page.locator('tbody tr').count(), patiently).toBe(1);
    await page.getByText('Details').click();
    await page.getByRole('link', { name: 'All events of this instance' }).click();
    await row(page, 'Process started').waitFor();
    expect(new URL(page.url()).hash).toBe(`#/events?instance=${instance}`);
    await page.getByLabel('To', { exact: true }).fill('2001-01-01T10:00');
    await page.getByText('No event matches.').waitFor();
    await page.getByRole('link', { name: 'Show all events' }).click();
    await page
      .getByRole('row', { name: /Logged in/ })
      .first()
      .waitFor();
    await daemon.call('DELETE', `/instances/${instance}`, undefined, token);
    await page.context().close();
  });
});
