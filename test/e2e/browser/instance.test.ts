// One instance on the dashboard, in a real browser: every tab, every action, what is said when there is nothing to show.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { browserTestMs, startBrowser, type TestBrowser, violations } from '../../support/browser.ts';
import { type Daemon, startDaemon } from '../../support/daemon.ts';

let daemon: Daemon;
let browser: TestBrowser;
beforeAll(async () => {
  daemon = await startDaemon({ ports: 6 });
  browser = await startBrowser(daemon);
}, browserTestMs);
afterAll(async () => {
  await browser.close();
  await daemon.dispose();
});

describe('the page of an instance', { timeout: browserTestMs }, () => {
  it('is reached', async () => {
    const page = await browser.open('#/instances');
    await browser.shoot(page, 'instances');
    expect(await violations(page)).toEqual([]);
    expect(browser.faults).toEqual([]);
  });
});
