// The login and the list of instances on the dashboard, in a real browser with real instances: ways in and out, what stands
// in the address, what can be done in a row, to several and by keyboard, asking for a new one, a supervisor that is killed
// under an open page, and how it looks.
import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { Locator, Page } from 'playwright-core';
import { describe, expect, it } from 'vitest';
import type { InstanceView } from '../../../src/api/contract.ts';
import {
  browserTestMs,
  dialog,
  loginPath,
  openDashboard,
  overflows,
  patiently,
  settled,
  violations,
} from '../../support/browser.ts';
import { connectSdk } from '../../support/clients.ts';
import { addGreeter, addRows, createBelievable, type Person } from '../../support/listed.ts';
import { root } from '../../support/source.ts';

const { daemon, browser } = await openDashboard({ ports: 12 });

const press = (page: Page, name: string): Promise<void> =>
  page.getByRole('button', { name, exact: true }).click();
const row = (page: Page, name: string): Locator =>
  page.getByRole('row').filter({ has: page.getByRole('link', { name, exact: true }) });
const statusOf = (page: Page, name: string): Locator => row(page, name).locator('.status');
const filter = (page: Page, label: string): Locator =>
  page.getByRole('search').getByLabel(label, { exact: true });
const names = (page: Page): Promise<string[]> => page.locator('tbody .cell-name').allTextContents();
const hashOf = (page: Page): string => new URL(page.url()).hash;

async function create(owner: Person, type: string, name: string, minutes = 40): Promise<InstanceView> {
  return daemon.create({ mcp_type: type, duration_minutes: minutes, name }, owner.token);
}

/** Polls a row of the list until its status begins with this. */
async function shows(page: Page, name: string, status: string): Promise<void> {
  await expect
    .poll(() => statusOf(page, name).textContent(), { timeout: 30_000 })
    .toMatch(new RegExp(`^${status}`));
}

describe('logging in', { timeout: browserTestMs }, () => {
  it('is done by a link that works once and leaves nothing secret behind', async () => {
    const { token } = await daemon.user('by-link');
    const path = await loginPath(daemon, token);
    const code = /code=(.+)/.exec(path)?.[1] ?? 'none';
    const page = await browser.fresh();
    await page.goto(path);
    await page.getByRole('heading', { name: 'Instances' }).waitFor();
    expect(hashOf(page)).toBe('#/instances');
    const [cookie, ...others] = await page.context().cookies();
    expect(others).toEqual([]);
    expect(cookie).toMatchObject({ httpOnly: true, sameSite: 'Strict' });
    const kept =
      'JSON.stringify([localStorage, sessionStorage, document.cookie, location.href, history.state])';
    for (const secret of [code, token, cookie?.value ?? ''])
      expect(await page.evaluate(kept)).not.toContain(secret);
    await page.goBack();
    expect(page.url()).not.toContain(code);

    const late = await browser.fresh();
    await late.goto(path);
    await late.getByText('That link did not work: it is good once').waitFor();
    expect(late.url()).not.toContain(code);
    // The next one is opened in the page that is there.
    await late.goto(await loginPath(daemon, token));
    await late.getByRole('heading', { name: 'Instances' }).waitFor();
    expect(hashOf(late)).toBe('#/instances');
    await late.context().close();
    await page.context().close();
  });

  it('is done by an API token; what is none is said at the field, with what to do', async () => {
    const { token } = await daemon.user('by-token');
    const page = await browser.fresh();
    await page.goto('/#/types');
    const field = page.getByLabel('API token');
    await press(page, 'Log in');
    await page.getByText('Paste an API token.').waitFor();
    await field.fill('mmt_this_is_none');
    await press(page, 'Log in');
    await page.getByText('This token is not known').waitFor();
    expect(await field.getAttribute('aria-invalid')).toBe('true');
    await field.fill(token);
    await press(page, 'Log in');
    await page.getByRole('heading', { name: 'Types' }).waitFor();
    expect(await page.content()).not.toContain(token);

    await press(page, 'Log out');
    await page.getByRole('heading', { name: 'Log in' }).waitFor();
    expect(await page.context().cookies()).toEqual([]);
    await page.reload();
    await field.waitFor();
    await page.context().close();
  });

  it('leads back to where one was when the session has ended elsewhere', async () => {
    const { token } = await daemon.user('ended');
    const page = await browser.open('#/instances?q=left', { token });
    await page.getByText('No instance matches.').waitFor();
    const other = await page.context().newPage();
    await other.goto('/#/types');
    await press(other, 'Log out');
    await other.getByRole('heading', { name: 'Log in' }).waitFor();
    await filter(page, 'Status').selectOption('error');
    await page.getByText('Your session has ended. Log in again to go on where you were.').waitFor();
    await page.getByLabel('API token').fill(token);
    await page.keyboard.press('Enter');
    await page.getByText('No instance matches.').waitFor();
    expect(hashOf(page)).toBe('#/instances?q=left&status=error');
    expect(await page.getByRole('searchbox').inputValue()).toBe('left');
    await page.context().close();
  });
});

describe('the list', { timeout: browserTestMs }, () => {
  it('has filter, search, order and page in its address: a reload and the back button give the same', async () => {
    const reader = await daemon.user('reader');
    await addRows(daemon, reader, 60, { name: `'row-' || lpad(n::text, 3, '0')` });
    await addRows(daemon, reader, 3, {
      ...{ name: `'over-' || n`, type: `'everything'`, status: `'expired'`, reason: `'expired'` },
      ...{ end: `-interval '1 hour'`, age: `interval '2 days'` },
    });
    const page = await browser.open('#/instances', { token: reader.token });
    const views = new Map<string, string[]>();
    /** Waits for the rows that are expected, and remembers them with their address. */
    const sees = async (count: number, first: string): Promise<void> => {
      await expect
        .poll(async () => [(await names(page)).length, (await names(page))[0]], patiently)
        .toEqual([count, first]);
      views.set(hashOf(page), await names(page));
    };
    const counted = async (label: string): Promise<string | null> =>
      page.locator('.count', { hasText: label }).locator('b').textContent();
    await sees(50, 'row-001');
    await expect
      .poll(() => Promise.all(['Stopped', 'Ended', 'Running'].map(counted)), patiently)
      .toEqual(['60', '3', '0']);
    await press(page, 'Next');
    await sees(13, 'row-051');
    await press(page, 'Previous');
    await sees(50, 'row-001');
    await page.getByRole('switch', { name: 'Show ended' }).click();
    await press(page, 'Name');
    await press(page, 'Name');
    await sees(50, 'row-060');
    await press(page, 'Next');
    await sees(10, 'row-010');
    await page.getByRole('link', { name: /Ended/ }).click();
    await sees(3, 'over-3');
    await filter(page, 'Status').selectOption('');
    await filter(page, 'Type').selectOption('everything');
    await page.getByText('No instance matches.').waitFor();
    await filter(page, 'Type').selectOption('');
    await page.getByRole('searchbox').fill('row-02');
    await sees(10, 'row-029');

    for (const [hash, rows] of views) {
      await page.goto('about:blank');
      await page.goto(`/${hash}`);
      await expect.poll(() => names(page), patiently).toEqual(rows);
    }
    await page.context().close();

    const again = await browser.open('#/instances', { token: reader.token });
    await expect.poll(() => names(again), patiently).toHaveLength(50);
    await again.getByRole('link', { name: /Ended/ }).click();
    await expect.poll(() => names(again), patiently).toHaveLength(3);
    await press(again, 'Name');
    await expect
      .poll(() => again.getByRole('columnheader', { name: 'Name' }).getAttribute('aria-sort'))
      .toBe('ascending');
    await again.goBack();
    await expect
      .poll(() => again.getByRole('columnheader', { name: 'Name' }).getAttribute('aria-sort'))
      .toBe('none');
    await again.goBack();
    await expect.poll(() => names(again), patiently).toHaveLength(50);
    await again.context().close();
  });

  it('counts down, and shows without a reload what is done elsewhere', async () => {
    const owner = await daemon.user('watcher');
    const { id } = await create(owner, 'memory', 'watched');
    const page = await browser.open('#/instances', { token: owner.token });
    await page.evaluate('window.isSame = true');
    const left = row(page, 'watched').locator('.countdown');
    const before = await left.textContent();
    await expect.poll(() => left.textContent(), patiently).not.toBe(before);
    const call = (method: string, path: string) => daemon.call(method, path, undefined, owner.token);
    await call('POST', `/instances/${id}/stop`);
    await shows(page, 'watched', 'disconnectedstopped by hand');
    await addRows(daemon, owner, 1, { name: `'unseen'` });
    const { id: second } = await create(owner, 'memory', 'newcomer');
    await shows(page, 'newcomer', 'running');
    await call('DELETE', `/instances/${second}`);
    await call('DELETE', `/instances/${id}`);
    await expect.poll(() => names(page), patiently).toEqual(['unseen']);
    expect(await page.evaluate('window.isSame')).toBe(true);
    await page.context().close();
  });
});

describe('what can be done in the list', { timeout: 2 * browserTestMs }, () => {
  it('is done in the row and to several at once: extend, stop, start, restart, renew, remove', async () => {
    const owner = await daemon.user('worker');
    const [, one] = await Promise.all([
      create(owner, 'memory', 'brief', 0.1),
      create(owner, 'everything', 'one'),
      create(owner, 'memory', 'two'),
    ]);
    const page = await browser.open('#/instances', { token: owner.token });
    const more = async (menu: string, item: string): Promise<void> => {
      await press(page, menu);
      await page.getByRole('menuitem', { name: item }).click();
    };
    const endMs = async (): Promise<number> => Date.parse((await daemon.get(one.id)).expires_at);
    await more('Extend one', 'Add 30 minutes');
    await expect.poll(endMs, patiently).toBeGreaterThan(Date.parse(one.expires_at) + 29 * 60_000);
    await more('Extend one', 'Choose…');
    await dialog(page).getByLabel('Lease from now').fill('100h');
    await dialog(page).getByRole('button', { name: 'Extend' }).click();
    await dialog(page).getByText('At most 8 h for this type.').waitFor();
    await dialog(page).getByLabel('Lease from now').fill('3h');
    await dialog(page).getByRole('button', { name: 'Extend' }).click();
    await expect.poll(endMs, patiently).toBeGreaterThan(Date.parse(one.expires_at) + 130 * 60_000);

    await press(page, 'Stop one');
    await shows(page, 'one', 'disconnected');
    await press(page, 'Start one');
    await shows(page, 'one', 'running');
    const { generation } = await daemon.get(one.id);
    await more('More for one', 'Restart');
    await expect.poll(async () => (await daemon.get(one.id)).generation, patiently).toBe(generation + 1);
    await shows(page, 'one', 'running');
    await shows(page, 'brief', 'expired');
    await press(page, 'Renew brief');
    await shows(page, 'brief', 'running');

    for (const name of ['one', 'two']) await page.getByRole('checkbox', { name: `Select ${name}` }).check();
    const bulk = page.getByRole('region', { name: 'Selected instances' });
    expect(await bulk.getByRole('status').textContent()).toBe('2 selected');
    await bulk.getByRole('button', { name: 'Stop' }).click();
    for (const name of ['one', 'two']) await shows(page, name, 'disconnected');
    await shows(page, 'brief', 'running');
    await bulk.getByRole('button', { name: 'Start' }).click();
    for (const name of ['one', 'two']) await shows(page, name, 'running');

    await more('More for brief', 'Remove…');
    await dialog(page).getByRole('button', { name: 'Cancel' }).click();
    expect(await names(page)).toContain('brief');
    await more('More for brief', 'Remove…');
    await dialog(page).getByRole('button', { name: 'Remove' }).click();
    await expect.poll(() => names(page), patiently).not.toContain('brief');
    await bulk.getByRole('button', { name: 'Remove…' }).click();
    await dialog(page).getByRole('button', { name: 'Remove' }).click();
    await page.getByText('There is no instance yet.').waitFor();
    expect((await daemon.call('GET', `/instances/${one.id}`, undefined, owner.token)).status).toBe(404);
    await page.context().close();
  });

  it('is done by keyboard alone, from the login on', async () => {
    const owner = await daemon.user('typist');
    await create(owner, 'memory', 'keyed');
    const page = await browser.fresh();
    await page.goto('/');
    await page.getByRole('heading', { name: 'Log in' }).waitFor();
    await page.keyboard.type(owner.token);
    await page.keyboard.press('Enter');
    await row(page, 'keyed').waitFor();
    const focused = () =>
      page.evaluate<readonly string[]>(
        `(({ ariaLabel, textContent }, { outlineStyle }) => [ariaLabel ?? textContent, outlineStyle])
          (document.activeElement, getComputedStyle(document.activeElement))`,
      );
    const seen: string[] = [];
    for (let at = ''; at !== 'Stop keyed' && seen.length < 60; seen.push(at)) {
      await page.keyboard.press('Tab');
      const [label = '', outline] = await focused();
      expect([label, outline]).not.toEqual([label, 'none']);
      at = label;
    }
    expect(seen).toContain('Stop keyed');
    await page.keyboard.press('Enter');
    await shows(page, 'keyed', 'disconnected');
    await page.context().close();
  });
});

describe('asking for a new one', { timeout: browserTestMs }, () => {
  it('asks what the type wants to be told, says what is wrong at its field, and gives URL and token once', async () => {
    const owner = await daemon.user('asker');
    await addGreeter(daemon);
    const page = await browser.open('#/instances', { token: owner.token });
    await press(page, 'Ask for the first one');
    const ask = () => dialog(page).getByRole('button', { name: 'Ask for it' }).click();
    await dialog(page).getByLabel('Type').selectOption('greeter');
    await dialog(page).getByLabel('Lease').fill('soon');
    await ask();
    await dialog(page).getByText('GREETING is needed.').waitFor();
    await dialog(page).getByText('Write a duration like').waitFor();
    const greeting = dialog(page).getByLabel('GREETING');
    await expect.poll(() => greeting.evaluate((field) => field.matches(':focus')), patiently).toBe(true);
    await greeting.fill('x'.repeat(5_000));
    await dialog(page).getByLabel('TONE').selectOption('loud');
    await dialog(page).getByLabel('Lease').fill('30m');
    await dialog(page).getByLabel('Name').fill('Not Good');
    await ask();
    await dialog(page).getByRole('alert').waitFor();
    expect(await dialog(page).getByLabel('Name').getAttribute('aria-invalid')).toBe('true');
    await dialog(page).getByLabel('Name').fill('mine');
    await ask();
    await expect.poll(() => greeting.getAttribute('aria-invalid'), patiently).toBe('true');
    await greeting.fill('good morning');
    await ask();
    await dialog(page).getByRole('heading', { name: 'mine' }).waitFor();
    const [url = '', token = ''] = await dialog(page).locator('.copy-line code').allTextContents();
    for (const [what, value] of [
      ['URL', url],
      ['access token', token],
    ] as const) {
      await dialog(page)
        .getByRole('button', { name: `Copy the ${what}` })
        .click();
      await dialog(page)
        .getByRole('button', { name: `${what} copied` })
        .waitFor();
      expect(await page.evaluate('navigator.clipboard.readText()')).toBe(value);
    }
    await expect.poll(() => dialog(page).locator('.status').textContent(), patiently).toBe('running');
    const client = await connectSdk({ access_url: url, access_token: token });
    const said = JSON.stringify(await client.callTool({ name: 'get-env', arguments: {} }));
    await client.close();
    expect(said).toContain('good morning');
    expect(said).toContain('loud');

    await dialog(page).getByRole('button', { name: 'Done' }).click();
    await shows(page, 'mine', 'running');
    expect(await page.content()).not.toContain(token);
    await page.context().close();
  });

  it('leads to the keys where the type needs one and none is stored', async () => {
    const owner = await daemon.user('keyless');
    const page = await browser.open('#/instances?new=github', { token: owner.token });
    await dialog(page).getByText('GitHub needs an API key, and you have stored none.').waitFor();
    await dialog(page).getByRole('button', { name: 'Ask for it' }).click();
    await dialog(page).getByText('Store an API key for this type first').waitFor();
    await dialog(page).getByRole('link', { name: 'Store one under Keys' }).click();
    await dialog(page).getByLabel('API key').waitFor();
    expect(hashOf(page)).toBe('#/keys?type=github');
    await page.context().close();
  });
});

describe('how it looks', { timeout: 2 * browserTestMs }, () => {
  it('has no fault for axe and fits the window, in both themes and at 360 px', async () => {
    const owner = await daemon.user('looked-at');
    await createBelievable(daemon, owner);
    const page = await browser.fresh();
    const look = async (what: string): Promise<void> => {
      for (const [theme, width, height] of looks) {
        await page.emulateMedia({ colorScheme: theme });
        await page.setViewportSize({ width, height });
        await browser.shoot(page, `instances-${what}-${theme}-${width}`, { isWindowOnly: what !== 'list' });
        expect([what, theme, width, await violations(page)]).toEqual([what, theme, width, []]);
        expect([what, width, await overflows(page)]).toEqual([what, width, false]);
      }
    };
    await page.goto('/');
    await page.getByRole('heading', { name: 'Log in' }).waitFor();
    await look('login');
    await page.goto(await loginPath(daemon, owner.token));
    await row(page, 'team-memory').locator('.spark').first().waitFor();
    await look('list');
    await page.getByRole('checkbox', { name: 'Select all on this page' }).check();
    await look('bulk');
    await press(page, 'Clear the selection');
    await press(page, 'New instance');
    await dialog(page).getByLabel('Name').fill('created-now');
    await settled(page);
    await look('create');
    await dialog(page).getByRole('button', { name: 'Ask for it' }).click();
    await expect.poll(() => dialog(page).locator('.status').textContent(), patiently).toBe('running');
    await look('created');
    await page.context().close();
  });
});

describe('a supervisor that is killed under the open page', { timeout: browserTestMs }, () => {
  it('is missed in words, and when it is back the page catches up by itself', async () => {
    const owner = await daemon.user('patient');
    const { id } = await create(owner, 'memory', 'survivor');
    await addRows(daemon, owner, 1, { name: `'there-before'` });
    const page = await browser.open('#/instances', { token: owner.token });
    const connection = page.locator('.connection');
    await shows(page, 'survivor', 'running');
    await expect.poll(() => connection.textContent(), patiently).toBe('Live');
    await page.evaluate('window.isSame = true');
    await daemon.kill9();
    await expect.poll(() => connection.textContent(), patiently).toBe('Reconnecting…');
    await press(page, 'Stop survivor');
    await page.getByText('Could not stop survivor').waitFor();
    await page.locator('.toast').getByText('This page comes back by itself.').waitFor();
    expect(await names(page)).toEqual(['survivor', 'there-before']);
    await addRows(daemon, owner, 1, { name: `'came-meanwhile'` });
    await daemon.database.db.query(
      `UPDATE mcp_instances SET deleted_at = now() WHERE user_id = $1 AND name = 'there-before'`,
      [owner.id],
    );
    await daemon.start({ MINIMCP_PORT: new URL(daemon.url()).port });
    await expect.poll(() => connection.textContent(), { timeout: 30_000 }).toBe('Live');
    await expect.poll(() => names(page), patiently).toEqual(['survivor', 'came-meanwhile']);
    await expect.poll(() => page.locator('.notice.error').count(), patiently).toBe(0);
    await shows(page, 'survivor', 'running');
    await daemon.call('POST', `/instances/${id}/stop`, undefined, owner.token);
    await shows(page, 'survivor', 'disconnected');
    expect(await page.evaluate('window.isSame')).toBe(true);
    await page.context().close();
    expect(browser.faults).toEqual([]);
  });
});

describe('the pictures in the README', { timeout: browserTestMs }, () => {
  it('are there, small, and shown; UPDATE_DOCS=1 takes them again', async () => {
    if (process.env.UPDATE_DOCS === '1') await takePictures();
    const readme = readFileSync(join(root, 'README.md'), 'utf8');
    for (const name of ['instances', 'instance-log']) {
      expect(statSync(pictureOf(name)).size).toBeLessThan(60_000);
      expect(readme).toContain(`](docs/pictures/${name}.png)`);
    }
  });
});

const pictureOf = (name: string): string => join(root, 'docs', 'pictures', `${name}.png`);

async function takePictures(): Promise<void> {
  const owner = await daemon.user('alex');
  const { id } = await createBelievable(daemon, owner);
  const page = await browser.open('#/instances', { token: owner.token, width: 1_024, height: 600 });
  /** Without the bar on top, which would be a fifth of their bytes. */
  const take = (name: string, height: number) =>
    page.screenshot({
      path: pictureOf(name),
      clip: { x: 0, y: 49, width: 1_024, height },
      animations: 'disabled',
    });
  await row(page, 'team-memory').locator('.spark').first().waitFor();
  await take('instances', 430);
  await page.goto(`/#/instances/${id}?tab=log`);
  await page.getByRole('log').getByText('The server is ready').waitFor();
  await take('instance-log', 500);
  await page.context().close();
}

/** Narrow first: what comes after is done in a wide window. */
const looks = [
  ['light', 360, 740],
  ['dark', 1_280, 800],
] as const;
