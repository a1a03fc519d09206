// The screens beside the instances, in a real browser: types, keys, ports and settings, with all that can be done there; and
// how every screen looks, in both themes and on a narrow window.
import { describe, expect, it } from 'vitest';
import type { ApiKeyView, McpTypeView, PortView, SettingView } from '../../../src/api/contract.ts';
import {
  browserTestMs,
  confirm,
  dialog,
  openDashboard,
  overflows,
  patiently,
  press,
  row,
  settled,
  violations,
} from '../../support/browser.ts';

const { daemon, browser } = await openDashboard({ ports: 8 });

const typeNamed = async (name: string): Promise<McpTypeView> =>
  (await daemon.call<McpTypeView>('GET', `/mcp-types/${name}`)).body.data;

/** Everything on the screens, so that there is something to look at. */
const places = [
  'types',
  'types/github',
  'types?add=1',
  'types/memory?edit=1',
  'keys',
  'keys?type=github',
  'tokens',
  'tokens?new=1',
  'users',
  'users?new=1',
  'ports',
  'ports?view=table',
  'events',
  'settings',
  'settings?edit=mcp.min_isolation',
  'health',
];

describe('every screen', { timeout: 3 * browserTestMs }, () => {
  it.each([
    ['light', 1_280],
    ['dark', 360],
  ] as const)('is without a fault to axe and fits, %s at %i px', async (theme, width) => {
    const page = await browser.open('#/types', { theme, width });
    for (const place of places) {
      await page.goto(`/#/${place}`);
      await page
        .locator(place.includes('=1') || place.includes('type=') ? '.dialog[open]' : '.main h1')
        .waitFor();
      await settled(page);
      await browser.shoot(page, `${place.replaceAll(/[^a-z]+/g, '-')}-${theme}-${width}`);
      expect([place, await violations(page)]).toEqual([place, []]);
      expect([place, await overflows(page)]).toEqual([place, false]);
    }
    expect(browser.faults).toEqual([]);
    await page.context().close();
  });

  it('is offered only to those who may see it', async () => {
    const { token } = await daemon.user('looker');
    const page = await browser.open('#/types', { token });
    await page.getByRole('heading', { name: 'Types' }).waitFor();
    const nav = page.getByRole('navigation', { name: 'Main' });
    expect(await nav.getByRole('link').allTextContents()).toEqual([
      'Instances',
      'Types',
      'Keys',
      'Tokens',
      'Health',
    ]);
    expect(await page.getByRole('switch').count()).toBe(0);
    for (const place of ['users', 'ports', 'events', 'settings']) {
      await page.goto(`/#/${place}`);
      await page.getByText('This page has no such place, or you may not see it.').waitFor();
    }
    await page.goto('/#/health');
    await page.getByText('Everything is as it should be.').waitFor();
    expect(await page.getByRole('heading', { name: 'Master keys' }).count()).toBe(0);
    await page.context().close();
  });
});

describe('types', { timeout: browserTestMs }, () => {
  it('are switched off and on, and those who look see it', async () => {
    const page = await browser.open('#/types');
    const other = await browser.open('#/types');
    const turn = (on: boolean) =>
      page.getByRole('switch', { name: `Filesystem is ${on ? 'off' : 'on'}` }).click();
    await turn(false);
    await expect.poll(async () => (await typeNamed('filesystem')).is_active, patiently).toBe(false);
    await other.getByRole('switch', { name: 'Filesystem is off' }).waitFor();
    await turn(true);
    await expect.poll(async () => (await typeNamed('filesystem')).is_active, patiently).toBe(true);
    await other.context().close();
    await page.context().close();
  });

  it('are edited, and what is wrong is said at its field', async () => {
    const page = await browser.open('#/types/everything');
    await press(page, 'Edit');
    await dialog(page).getByLabel('Longest lease').fill('soon');
    await confirm(page, 'Save');
    await dialog(page).getByText('Write a duration like').waitFor();
    await dialog(page).getByLabel('Longest lease').fill('3h');
    await dialog(page).getByLabel('Name for people').fill('All there is');
    await dialog(page).getByLabel('Sleeps when idle for').fill('20m');
    await confirm(page, 'Save');
    await page.getByRole('heading', { name: 'All there is' }).waitFor();
    expect(await typeNamed('everything')).toMatchObject({ max_duration_minutes: 180, idle_minutes: 20 });
    expect(await page.getByText('after 20 min').count()).toBe(1);
    await page.context().close();
  });

  it('are not added from nonsense, and it is said what is wrong with it', async () => {
    const page = await browser.open('#/types');
    await press(page, 'Add a type');
    const source = dialog(page).getByLabel('npm package or server.json');
    for (const [text, fault] of [
      ['', 'Name a package, or paste a server.json.'],
      ['{"name": ', 'This is no JSON'],
      ['https://example.test/server.json', 'paste what is there'],
    ] as const) {
      await source.fill(text);
      await confirm(page, 'Add');
      await dialog(page).getByText(fault).waitFor();
    }
    await source.fill('{"name": "test.page/incomplete", "packages": []}');
    await confirm(page, 'Add');
    await dialog(page).getByRole('alert').waitFor();
    expect((await daemon.call('GET', '/mcp-types/incomplete')).status).toBe(404);
    await page.context().close();
  });

  it('lead to asking for one', async () => {
    const page = await browser.open('#/types');
    await row(page, 'Memory')
      .getByRole('link', { name: /Ask for one/ })
      .click();
    await expect.poll(() => dialog(page).getByLabel('Type').inputValue(), patiently).toBe('memory');
    await page.context().close();
  });
});

describe('keys', { timeout: browserTestMs }, () => {
  it('are asked for, stored without being shown, replaced and removed', async () => {
    const { token } = await daemon.user('keyholder', {});
    const keys = async (): Promise<readonly ApiKeyView[]> =>
      (await daemon.call<ApiKeyView[]>('GET', '/api-keys', undefined, token)).body.data;
    const page = await browser.open('#/keys', { token });
    const github = row(page, 'GitHub');
    await github.getByText('needed, none stored').waitFor();
    await press(page, 'Store the key for GitHub');
    await confirm(page, 'Store');
    await dialog(page).getByText('Paste the key.').waitFor();
    const field = dialog(page).getByLabel('API key');
    expect(await field.getAttribute('type')).toBe('password');
    await field.fill('ghp_the_secret_1234');
    await dialog(page).getByLabel('Expires').fill('2001-01-01T10:00');
    await confirm(page, 'Store');
    await dialog(page).getByText('expires_at must lie ahead').first().waitFor();
    await dialog(page).getByLabel('Expires').fill('');
    await confirm(page, 'Store');
    await github.getByText('never').waitFor();
    expect(await keys()).toMatchObject([{ mcp_type: 'github', key_hint: '1234', expires_at: null }]);
    expect(await page.content()).not.toContain('ghp_the_secret');

    await press(page, 'Replace the key for GitHub');
    await dialog(page).getByLabel('API key').fill('ghp_another_5678');
    await confirm(page, 'Replace');
    await dialog(page).getByText('No instance of this type runs').waitFor();
    await confirm(page, 'Done');
    await github.getByText('5678').waitFor();

    await press(page, 'Remove the key for GitHub');
    await confirm(page, 'Remove');
    await github.getByText('needed, none stored').waitFor();
    expect(await keys()).toEqual([]);
    await page.context().close();
  });
});

describe('ports', { timeout: browserTestMs }, () => {
  it('are a map for arrows and eyes, which says who holds one and follows what changes', async () => {
    const held = await daemon.create({ mcp_type: 'memory', duration_minutes: 30, name: 'porter' });
    const page = await browser.open('#/ports');
    const map = page.getByRole('listbox');
    const { from } = daemon.portRange;
    await map.getByRole('option', { name: `${from}, ` }).focus();
    const at = (held.assigned_port ?? 0) - from;
    for (let steps = 0; steps < at; steps += 1) await page.keyboard.press('ArrowRight');
    const detail = page.getByRole('region', { name: 'The chosen port' });
    await detail.getByText(`${held.assigned_port}`).waitFor();
    await detail.getByText('porter').waitFor();
    expect(await map.locator('[aria-selected="true"]').getAttribute('aria-label')).toBe(
      `${held.assigned_port}, held`,
    );
    expect(await map.locator('[tabindex="0"]').count()).toBe(1);
    await page.reload();
    await detail.getByText('porter').waitFor();

    await daemon.call('DELETE', `/instances/${held.id}`);
    await expect.poll(() => map.getByRole('option', { name: /held/ }).count(), patiently).toBe(0);
    const ports = (await daemon.call<PortView[]>('GET', '/ports')).body.data;
    await page.getByRole('tab', { name: 'Table' }).click();
    await expect.poll(() => page.locator('tbody tr').count(), patiently).toBe(ports.length);
    expect(new URL(page.url()).hash).toContain('view=table');
    await page.context().close();
  });

  it('are read to the last, page by page', async () => {
    const { from, to } = daemon.portRange;
    await daemon.call('PUT', '/settings/port.range_end', { value: from + 249 });
    const page = await browser.open('#/ports');
    await expect.poll(() => page.getByRole('option').count(), patiently).toBe(250);
    await daemon.call('PUT', '/settings/port.range_end', { value: to });
    await page.context().close();
  });
});

describe('settings', { timeout: browserTestMs }, () => {
  it('are changed in their place; what the daemon refuses stands at the field', async () => {
    const page = await browser.open('#/settings');
    const key = 'mcp.warn_before_minutes';
    const item = page.locator(`[data-key="${key}"]`);
    await press(page, `Change ${key}`);
    const field = item.getByLabel('Value, in minutes');
    expect(await item.locator('input:focus').count()).toBe(1);
    await field.fill('100000');
    await field.press('Enter');
    await item.getByText(`${key}: Too big`).waitFor();
    await field.fill('9');
    await field.press('Enter');
    await item.getByText('9 min').waitFor();
    const settings = (await daemon.call<SettingView[]>('GET', '/settings')).body.data;
    expect(settings.find((setting) => setting.key === key)?.value).toBe(9);

    // By somebody else, meanwhile.
    await daemon.call('PUT', `/settings/${key}`, { value: 8 });
    await item.getByText('8 min').waitFor();
    await press(page, `Change ${key}`);
    await page.keyboard.press('Escape');
    await item.getByText('8 min').waitFor();
    await page.context().close();
  });
});
