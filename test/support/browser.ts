// The dashboard in a real browser: Debian's chromium, driven by playwright-core, against a daemon of test/support/daemon.ts.
//
//   const { daemon, browser } = await openDashboard();      at the top of the file; ended after its last test
//   const page = await browser.open('#/instances');         logged in as the admin; a context (cookies) of its own
//   const mine = await browser.open('#/keys', { token, theme: 'dark', width: 360 });
//   await mine.getByRole('button', { name: 'Store' }).click();      plain playwright from here on
//   await browser.shoot(mine, 'keys-dark-360');             with PICTURES=1: artefacts/browser/keys-dark-360.png, git-ignored
//   expect(await violations(mine)).toEqual([]);             axe; each entry says the rule and the element
//   expect(browser.faults).toEqual([]);                     exceptions, and what the page's policy refused
//
// Wait for facts: expect.poll(…, patiently), or a locator's waitFor; the policy forbids waitForFunction. Playwright
// gives up after 20 s, a test of the browser after 90 (give `{ timeout: browserTestMs }` to its describe). A supervisor that
// comes back under an open page has to come back at its port: daemon.start({ MINIMCP_PORT: new URL(daemon.url()).port }).
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { AxeBuilder } from '@axe-core/playwright';
import { type Browser, type BrowserContext, chromium, type Locator, type Page } from 'playwright-core';
import { afterAll } from 'vitest';
import { buildPage } from './built-page.ts';
import { type Daemon, type DaemonOptions, startDaemon } from './daemon.ts';
import { browsers, findProgram } from './programs.ts';
import { root } from './source.ts';

export interface OpenOptions {
  /** Whose API token; default: the admin's. */
  readonly token?: string;
  /** Default light. */
  readonly theme?: 'light' | 'dark';
  /** Of the window, in CSS pixels; default 1280 by 800, 360 by 740 for a narrow one. */
  readonly width?: number;
  readonly height?: number;
}

export interface TestBrowser {
  /** What no page may do: throw, or ask for what its Content-Security-Policy forbids. */
  readonly faults: readonly string[];
  /** A page of the daemon's, at no place yet, with nobody logged in. */
  fresh(options?: Omit<OpenOptions, 'token'>): Promise<Page>;
  /** A page at this hash, logged in with a one-time link, as a reader would be. */
  open(hash: string, options?: OpenOptions): Promise<Page>;
  /** Waits until the page is settled, and with PICTURES=1 keeps a picture of it (or of the window) as an artefact. */
  shoot(page: Page, name: string, options?: { readonly isWindowOnly?: boolean }): Promise<void>;
  close(): Promise<void>;
}

const flags = [
  '--headless',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];
const waitMs = 20_000;
/** For expect.poll: as long as playwright waits. */
export const patiently = { timeout: waitMs };
/** For describe or it: browsers are slow on a busy machine. */
export const browserTestMs = 90_000;
const artefacts = join(root, 'artefacts', 'browser');

/** A daemon, which serves the page as its source is now, and a browser for it; both end with the test file. */
export async function openDashboard(
  options?: DaemonOptions,
): Promise<{ readonly daemon: Daemon; readonly browser: TestBrowser }> {
  launched ??= launch();
  const chrome = await launched;
  await buildPage();
  const daemon = await startDaemon(options);
  afterAll(() => daemon.dispose(), browserTestMs);
  const browser = browserFor(daemon, chrome);
  afterAll(() => browser.close(), browserTestMs);
  return { daemon, browser };
}

/** One for all test files of this process: each has contexts of its own in it. It ends with the process. */
let launched: Promise<Browser> | undefined;

function browserFor(daemon: Daemon, chrome: Browser): TestBrowser {
  const contexts: BrowserContext[] = [];
  const faults: string[] = [];
  const fresh = async (options: OpenOptions = {}): Promise<Page> => {
    const { theme = 'light', width = 1_280, height = width < 600 ? 740 : 800 } = options;
    const context = await chrome.newContext({
      viewport: { width, height },
      colorScheme: theme,
      reducedMotion: 'reduce',
      baseURL: daemon.url(),
    });
    contexts.push(context);
    context.setDefaultTimeout(waitMs);
    await context.grantPermissions(['clipboard-read', 'clipboard-write'], { origin: daemon.url() });
    const page = await context.newPage();
    watch(page, faults);
    return page;
  };
  return {
    faults,
    fresh,
    async open(hash, options = {}) {
      const page = await fresh(options);
      await page.goto(await loginPath(daemon, options.token));
      await page.locator('.shell h1').waitFor();
      if (hash !== '') await page.goto(`/${hash}`);
      return page;
    },
    async shoot(page, name, { isWindowOnly = false } = {}) {
      await settled(page);
      if (process.env.PICTURES !== '1') return;
      mkdirSync(artefacts, { recursive: true });
      const path = join(artefacts, `${name}.png`);
      await page.screenshot({ path, fullPage: !isWindowOnly, animations: 'disabled' });
    },
    close: async () => void (await Promise.all(contexts.map((context) => context.close()))),
  };
}

/** The path of a link that logs in once. @param token whose API token; default: the admin's */
export async function loginPath(daemon: Daemon, token = daemon.adminToken): Promise<string> {
  const link = await daemon.call<{ url: string }>('POST', '/login-links', undefined, token);
  if (link.status !== 201) throw new Error(`no login link: ${JSON.stringify(link.body)}`);
  return `/${new URL(link.body.data.url).hash}`;
}

async function launch(): Promise<Browser> {
  const executablePath = findProgram(...browsers);
  if (executablePath === undefined) {
    throw new Error('there is no chromium on the PATH: "apt-get install chromium-headless-shell" brings one');
  }
  // Playwright makes a profile of its own, and removes it again.
  return chromium.launch({ executablePath, args: flags });
}

function watch(page: Page, faults: string[]): void {
  page.on('pageerror', (error) => faults.push(String(error)));
  page.on('console', (message) => {
    const text = message.text();
    // The network's own words about a refusal or a daemon that is away are no fault of the page.
    if (message.type() === 'error' && !text.startsWith('Failed to load resource')) faults.push(text);
  });
}

/** Until nothing on the page is being read for the first time. */
export async function settled(page: Page): Promise<void> {
  while ((await page.locator('.skeleton').count()) > 0)
    await page.locator('.skeleton').first().waitFor({ state: 'detached' });
}

/** What axe finds wrong with a page, or with the part a selector names: rule and element, one line each. */
export async function violations(page: Page, within?: string): Promise<string[]> {
  // The page has no frames: so there is no need of the second, blank page in which axe would join their findings.
  const axe = new AxeBuilder({ page }).setLegacyMode().options({ resultTypes: ['violations'] });
  const found = await (within === undefined ? axe : axe.include(within)).analyze();
  return found.violations.flatMap(({ id, help, nodes }) =>
    nodes.map((node) => `${id} (${help}): ${node.target.join(' ')}`),
  );
}

/** Whether something sticks out of the window sideways: a page for 360 px must not scroll that way. */
export function overflows(page: Page): Promise<boolean> {
  return page.evaluate<boolean>('document.documentElement.scrollWidth > innerWidth');
}

/** The row of a table with this text. */
export const row = (page: Page, name: string): Locator => page.getByRole('row', { name: new RegExp(name) });
/** The dialog that is open. */
export const dialog = (page: Page): Locator => page.getByRole('dialog');
export const press = (page: Page, name: string | RegExp): Promise<void> =>
  page.getByRole('button', { name }).click();
/** Presses the button of the open dialog with exactly this name. */
export const confirm = (page: Page, name: string): Promise<void> =>
  dialog(page).getByRole('button', { name, exact: true }).click();
