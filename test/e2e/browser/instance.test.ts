// One instance on the dashboard, in a real browser: every tab and what can be done there, what is said when there is
// nothing to show, and a log that grows fast, and through a restart of the supervisor.
import type { Page } from 'playwright-core';
import { describe, expect, it } from 'vitest';
import type { InstanceWithToken } from '../../../src/api/contract.ts';
import {
  browserTestMs,
  openDashboard,
  overflows,
  patiently,
  settled,
  violations,
} from '../../support/browser.ts';
import { addProgramType, answersThen } from '../../support/types.ts';

/** Says a numbered line five times a second, in colours. */
const talker = answersThen(
  `let n = 0; setInterval(() => console.error('\\x1b[32mword ' + (n += 1) + '\\x1b[0m'), 200);`,
);
const linesOfFlood = 100_000;
const broken = `console.error('I was given no key'); process.exit(3);`;

const { daemon, browser } = await openDashboard({ ports: 8 });
await addProgramType(daemon, 'talker', talker);
await addProgramType(daemon, 'broken', broken);

const create = (type: string, name: string): Promise<InstanceWithToken> =>
  daemon.create({ mcp_type: type, duration_minutes: 50, name });
const remove = (id: string) => daemon.call('DELETE', `/instances/${id}`);

/** The status of a bare call of the instance with a token. */
async function answerTo(url: string, token: string): Promise<number> {
  const response = await fetch(url, {
    method: 'POST',
    headers: {
      authorization: `Bearer ${token}`,
      'content-type': 'application/json',
      accept: 'application/json, text/event-stream',
    },
    body: JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'ping' }),
  });
  await response.body?.cancel();
  return response.status;
}

/** The text of every line a log holds, by scrolling through it as a reader would. */
async function linesShown(page: Page): Promise<string[]> {
  const seen = new Map<string, string>();
  const list = page.getByRole('log');
  await list.evaluate((element) => element.scrollTo({ top: 0 }));
  for (let isEnd = false; !isEnd; ) {
    await page.waitForTimeout(60);
    // All at one moment: a line that is scrolled away is gone.
    const lines = await list
      .locator('.log-line')
      .evaluateAll((found) =>
        found.map(
          (line) =>
            [line.getAttribute('style') ?? '', line.querySelector('span')?.textContent ?? ''] as const,
        ),
      );
    for (const [place, text] of lines) seen.set(place, text);
    isEnd = await list.evaluate((element) => {
      const before = element.scrollTop;
      element.scrollBy({ top: element.clientHeight });
      return element.scrollTop === before;
    });
  }
  const placeOf = (style: string): number => Number(/translateY\((\d+)px/.exec(style)?.[1]);
  return [...seen].sort(([one], [other]) => placeOf(one) - placeOf(other)).map(([, text]) => text);
}

describe('connecting', { timeout: browserTestMs }, () => {
  it('shows the token of a new instance once, filled in, and keeps it nowhere', async () => {
    const page = await browser.open('#/instances?new=everything');
    await page.getByRole('dialog').getByLabel('Name').fill('mine');
    await page.getByRole('button', { name: 'Ask for it' }).click();
    await page.getByRole('link', { name: 'Connect a client' }).click();
    const token = (await page.locator('.connect-keys code').nth(1).textContent()) ?? '';
    expect(token).toMatch(/^mcp_/);
    const code = page.locator('.snippet code').first();
    await expect.poll(() => code.textContent(), patiently).toContain(`Bearer ${token}`);
    const url = (await page.locator('.connect-keys code').first().textContent()) ?? '';
    await expect.poll(() => answerTo(url, token), patiently).toBeLessThan(401);
    await page.locator('.snippet').getByRole('button', { name: 'Copy the command' }).click();
    expect(await page.evaluate('navigator.clipboard.readText()')).toContain(token);

    for (const [client, scheme] of [
      ['Cursor', 'cursor:'],
      ['VS Code', 'vscode:'],
    ] as const) {
      await page.getByRole('tab', { name: client }).click();
      const link = await page.getByRole('link', { name: `Add to ${client}` }).getAttribute('href');
      expect(link?.startsWith(scheme)).toBe(true);
      expect(decodeURIComponent(link ?? '')).not.toContain(token);
    }
    const kept = 'JSON.stringify([localStorage, sessionStorage, location.href, history.state])';
    expect(await page.evaluate(kept)).not.toContain(token);

    await page.getByRole('link', { name: 'All instances' }).click();
    await page.getByRole('link', { name: 'mine' }).click();
    await expect.poll(() => code.textContent(), patiently).toContain('<ACCESS_TOKEN>');
    expect(await page.content()).not.toContain(token);

    await page.getByRole('button', { name: 'Make a new access token…' }).click();
    await page.getByRole('button', { name: 'Make a new one' }).click();
    await expect.poll(() => code.textContent(), patiently).toMatch(/Bearer mcp_/);
    const second = (await page.locator('.connect-keys code').nth(1).textContent()) ?? '';
    expect(second).not.toBe(token);
    expect(await answerTo(url, token)).toBe(401);
    expect(await answerTo(url, second)).toBeLessThan(401);
    await page.context().close();
  });
});

describe('the log', { timeout: 3 * browserTestMs }, () => {
  it('follows until one scrolls up, counts what is new, and goes on through a restart without a gap or a repeat', async () => {
    const { id } = await create('talker', 'talks');
    const page = await browser.open(`#/instances/${id}?tab=log`);
    const list = page.getByRole('log');
    const newest = list.locator('.log-line').last().locator('span');
    await expect.poll(() => newest.textContent(), patiently).toMatch(/^word (?:[3-9]\d|\d{3,})$/);
    await list.evaluate((element) => element.scrollTo({ top: 0 }));
    const pill = page.getByRole('button', { name: /\d+ new lines? / });
    await pill.waitFor();
    await pill.click();
    await expect.poll(() => pill.count(), patiently).toBe(0);

    await daemon.kill9();
    await expect.poll(() => page.locator('.log-state').textContent(), patiently).toContain('is lost');
    await daemon.start({ MINIMCP_PORT: new URL(daemon.url()).port });
    await expect
      .poll(() => page.locator('.log-state').textContent(), { timeout: 30_000 })
      .toMatch(/^\d+ lines/);
    const before = Number(/\d+/.exec((await newest.textContent()) ?? '')?.[0]);
    await expect
      .poll(async () => Number(/\d+/.exec((await newest.textContent()) ?? '')?.[0]), { timeout: 20_000 })
      .toBeGreaterThan(before + 10);
    await page.getByRole('button', { name: 'Pause' }).click();
    await daemon.call('POST', `/instances/${id}/stop`);
    const words = (await linesShown(page)).filter((text) => text.startsWith('word '));
    expect(words.length).toBeGreaterThan(before);
    expect(words).toEqual(words.map((_, at) => `word ${at + 1}`));

    // What is left out is left out of the list and of the download alike.
    await page.getByRole('searchbox', { name: 'Search in the messages' }).fill('WORD 1');
    const found = words.filter((text) => text.startsWith('word 1'));
    await expect
      .poll(() => page.locator('.log-state').textContent(), patiently)
      .toBe(`${found.length} lines, from the beginning.`);
    expect(await linesShown(page)).toEqual(found);
    const saved = await page.getByRole('link', { name: 'NDJSON' }).getAttribute('href');
    const text = await (await page.request.get(saved ?? '')).text();
    expect(text.trim().split('\n')).toHaveLength(found.length);
    await page.getByLabel('Level').selectOption('error');
    await page.getByText('No line matches.').waitFor();
    await page.context().close();
    await remove(id);
  });

  it('takes 100,000 lines as they come without holding up its reader, with a screenful of them in the document', async () => {
    const { id } = await create('everything', 'floods');
    const page = await browser.open(`#/instances/${id}?tab=log`);
    const list = page.getByRole('log');
    await list.waitFor();
    await expect
      .poll(() => page.locator('.log-state').textContent(), patiently)
      .toMatch(/from the beginning/);
    // Straight into the table: a child that says so much is held to its rate.
    await daemon.database.db.query(
      `INSERT INTO mcp_logs (id, mcp_instance_id, timestamp, level, source, seq, message)
       SELECT uuidv7(), $1, clock_timestamp(), 'info', 'process', 1000000 + n, 'flood ' || n FROM generate_series(1, $2::int) AS n`,
      [id, linesOfFlood],
    );
    await daemon.database.db.query(`SELECT pg_notify('minimcp_logs', $1)`, [id]);
    const newest = list.locator('.log-line').last().locator('span');
    await expect
      .poll(() => newest.textContent(), { timeout: 2 * browserTestMs })
      .toBe(`flood ${linesOfFlood}`);
    expect(await page.locator('.log-state').textContent()).toMatch(/newest 100,000 lines/);
    expect(await list.locator('.log-line').count()).toBeLessThan(100);
    // From one end to the other and back, each drawn in the next frame.
    const firstAt = (top: string): Promise<string> =>
      page.evaluate(`new Promise((done) => {
        const list = document.querySelector('.log-lines');
        list.scrollTop = ${top};
        const look = () => done(list.querySelector('.log-line span').textContent);
        requestAnimationFrame(() => requestAnimationFrame(look));
      })`);
    expect(await firstAt('0')).toBe('flood 1');
    expect(await firstAt('22 * 50000')).toMatch(/^flood (?:49|50)\d{3}$/);
    // Enter shows a line in full, the arrows the next.
    await list.focus();
    await page.keyboard.press('Enter');
    const whole = page.getByRole('region', { name: 'The chosen line' }).locator('pre').first();
    const first = await whole.textContent();
    await page.keyboard.press('ArrowDown');
    await expect.poll(() => whole.textContent(), patiently).not.toBe(first);
    await page.keyboard.press('Escape');
    await expect.poll(() => whole.count(), patiently).toBe(0);
    await page.context().close();
    await remove(id);
  });
});

describe('what can be done', { timeout: browserTestMs }, () => {
  it('is done from its page, which follows: extend, stop, start, and what others do', async () => {
    const { id, expires_at: end } = await create('everything', 'worked-on');
    const page = await browser.open(`#/instances/${id}`);
    const status = page.locator('.facts .status');
    await expect.poll(() => status.textContent(), patiently).toBe('running');
    await page.getByRole('button', { name: 'Extend worked-on' }).click();
    await page.getByRole('menuitem', { name: 'Add 30 minutes' }).click();
    await expect
      .poll(async () => Date.parse((await daemon.get(id)).expires_at), patiently)
      .toBeGreaterThan(Date.parse(end));
    await page.getByRole('button', { name: 'Stop worked-on' }).click();
    await expect.poll(() => status.textContent(), patiently).toBe('disconnectedstopped by hand');
    await page.getByRole('button', { name: 'Start worked-on' }).click();
    await expect.poll(() => status.textContent(), patiently).toBe('running');
    await page.getByRole('tab', { name: 'Timeline' }).click();
    await expect
      .poll(() => page.locator('.timeline').textContent(), patiently)
      .toContain('by you from 127.0.0.1 with Chrome');
    await daemon.call('POST', `/instances/${id}/stop`);
    await expect.poll(() => status.textContent(), patiently).toMatch(/^disconnected/);
    await page.context().close();
    await remove(id);
  });
});

describe('a tool', { timeout: browserTestMs }, () => {
  it('is tried with a form drawn from its schema: what is missing is said at its field, then it answers', async () => {
    const { id } = await create('everything', 'tried');
    const page = await browser.open(`#/instances/${id}?tab=tools&tool=get-sum`);
    const first = page.locator('.tool input').first();
    await first.waitFor();
    await page.getByRole('button', { name: 'Call it' }).click();
    await expect.poll(() => first.getAttribute('aria-invalid'), patiently).toBe('true');
    await page.getByRole('link', { name: 'Echo' }).click();
    await page.getByLabel('message').fill('good morning');
    await page.getByRole('button', { name: 'Call it' }).click();
    const result = page.locator('.tool-result');
    await expect.poll(() => result.textContent(), patiently).toContain('Echo: good morning');
    expect(await violations(page)).toEqual([]);
    await page.context().close();
    await remove(id);
  });
});

describe('what is not as it should be', { timeout: browserTestMs }, () => {
  it('is said with what to do: a failed start, an id that is none, another’s instance, one that goes', async () => {
    const failed = await create('broken', 'fails');
    const page = await browser.open(`#/instances/${failed.id}`);
    const trouble = page.locator('.trouble.notice');
    await trouble.waitFor();
    expect(await trouble.textContent()).toContain('I was given no key');
    expect(await page.getByRole('tab', { selected: true }).textContent()).toBe('Timeline');
    await page.getByRole('link', { name: 'Read its log' }).click();
    await expect.poll(() => page.getByRole('log').textContent(), patiently).toContain('I was given no key');

    await page.goto('/#/instances/00000000-0000-7000-8000-000000000000');
    await page.getByText('There is no such instance, or it is not yours.').waitFor();
    const { token } = await daemon.user('someone');
    const theirs = await browser.open(`#/instances/${failed.id}`, { token });
    await theirs.getByText('There is no such instance, or it is not yours.').waitFor();
    await theirs.getByRole('link', { name: 'Go to the instances' }).waitFor();

    await page.goto(`/#/instances/${failed.id}?tab=timeline`);
    await page.locator('.timeline').waitFor();
    await remove(failed.id);
    await page.getByText('fails has been removed.').waitFor();
    await theirs.context().close();
    await page.context().close();
  });

  it('is told to the end: the receipt of a lease that is over, and the way to a new one', async () => {
    const { id } = await daemon.create({ mcp_type: 'everything', duration_minutes: 0.1, name: 'brief' });
    const page = await browser.open(`#/instances/${id}?tab=timeline`);
    await expect.poll(() => page.locator('.receipt').textContent(), patiently).toContain('the home is wiped');
    await page.getByRole('tab', { name: 'Connect' }).click();
    await page.getByText('Its lease is over.').waitFor();
    await page.getByRole('button', { name: 'Renew the lease' }).click();
    await expect.poll(async () => (await daemon.get(id)).status, patiently).toBe('running');
    await page.locator('.snippet').waitFor();
    await page.context().close();
    await remove(id);
  });
});

describe('every tab', { timeout: 3 * browserTestMs }, () => {
  it('is without a fault for axe in both themes and at 360 px, and fits the window', async () => {
    const { id } = await create('everything', 'looked-at');
    await daemon.database.db.query(
      `UPDATE mcp_instances SET created_at = created_at - interval '3 hours' WHERE id = $1`,
      [id],
    );
    await daemon.database.db.query(
      `INSERT INTO instance_usage (instance_id, at, generation, cpu_percent, memory_bytes)
       SELECT $1, date_trunc('minute', now()) - n * interval '1 minute', 1, 8 + 6 * sin(n / 5.0), 80000000 + n * 200000
       FROM generate_series(1, 170) AS n WHERE n NOT BETWEEN 60 AND 80`,
      [id],
    );
    for (const [theme, width] of [
      ['light', 1_280],
      ['dark', 360],
    ] as const) {
      const page = await browser.open(`#/instances/${id}`, { theme, width });
      for (const tab of ['connect', 'log', 'timeline', 'usage', 'tools']) {
        await page.goto(`/#/instances/${id}?tab=${tab}`);
        await page.getByRole('tabpanel').first().waitFor();
        await settled(page);
        if (tab === 'usage') {
          expect(await page.locator('.plot-line').count()).toBe(2);
          expect(await page.locator('.digest').textContent()).toMatch(/Memory.*MB/);
        }
        await browser.shoot(page, `instance-${tab}-${theme}-${width}`);
        expect(await violations(page), `${tab} in ${theme} at ${width}`).toEqual([]);
        expect(await overflows(page), `${tab} at ${width}`).toBe(false);
      }
      await page.context().close();
    }
    expect(browser.faults).toEqual([]);
  });
});
