// Walks through the dashboard of a running node in a real browser, as a reader with a keyboard would, and takes its picture.
//
//   node dashboard.mjs --url http://127.0.0.1:8080 [--out picture.png] [--dark] [--reduced] [--width 1280] [--height 900]
//                      [--page overview] [--settle 0] [--browser /usr/bin/chromium]
//
// Exit 0: connected, a cell's value changed before our eyes, all sections reachable by keyboard, no error in the console, nothing
// refused by the content security policy, no sideways scrolling. --settle: seconds of live charts before the picture.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chromium } from 'playwright-core';
import { options, until } from './options.mjs';

const o = options({ url: 'http://127.0.0.1:8080', out: '', width: 1280, height: 900, page: 'overview', settle: 0, browser: process.env.WEIR_CHROMIUM || '/usr/bin/chromium' }, ['dark', 'reduced']);
const sections = ['overview', 'tables', 'log', 'jobs', 'health'];
const profile = await mkdtemp(join(tmpdir(), 'weir-browser-'));
const problems = [];
let browser;
let status = 0;

const check = (condition, message) => {
  if (!condition) throw new Error(message);
};

try {
  browser = await chromium.launchPersistentContext(profile, {
    executablePath: o.browser,
    headless: true,
    args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
    viewport: { width: o.width, height: o.height },
    colorScheme: o.dark ? 'dark' : 'light',
    reducedMotion: o.reduced ? 'reduce' : 'no-preference',
  });
  const page = browser.pages()[0] ?? (await browser.newPage());
  page.setDefaultTimeout(20000);
  page.on('console', (message) => {
    if (message.type() === 'error') problems.push(`console: ${message.text()} (${message.location().url})`);
  });
  page.on('pageerror', (error) => problems.push(`exception: ${error.stack ?? error.message}`));
  page.on('request', (request) => {
    const address = new URL(request.url());
    if (/^(http|ws)/.test(address.protocol) && address.host !== new URL(o.url).host) problems.push(`asked another host: ${request.url()}`);
  });
  await page.addInitScript(() => {
    window.refused = [];
    document.addEventListener('securitypolicyviolation', (event) => window.refused.push(`${event.violatedDirective} ${event.blockedURI}`));
  });

  await page.goto(o.url, { waitUntil: 'load' });
  await page.locator('#connection[data-state="connected"]').waitFor();

  // By keyboard alone: the skip link first, then to the tabs, and along them with the arrows.
  await page.keyboard.press('Tab');
  check(await page.evaluate(() => document.activeElement?.classList.contains('skip')), 'the first Tab does not reach the skip link');
  let reached = false;
  for (let i = 0; i < 6 && !reached; i++) {
    await page.keyboard.press('Tab');
    reached = await page.evaluate(() => document.activeElement?.getAttribute('role') === 'tab');
  }
  check(reached, 'Tab does not reach the sections');
  const ringed = await page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle !== 'none');
  check(ringed, 'a focused tab shows no focus ring');
  for (const id of sections) {
    await page.locator(`#tab-${id}[aria-selected="true"]`).waitFor();
    check(await page.locator(`#panel-${id}`).isVisible(), `section ${id} is selected but not shown`);
    const wide = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
    check(wide <= 0, `section ${id} scrolls sideways by ${wide} px at ${o.width} px`);
    await page.keyboard.press('ArrowRight');
  }
  await page.locator('#tab-overview[aria-selected="true"]').waitFor();

  // A value changes: the same cell of the same row, read until it is another text. Every small table gets its chance.
  await page.click('#tab-tables');
  await page.locator('#panel-tables table.grid tbody tr:not(.space)').first().waitFor();
  const names = await page.locator('#panel-tables .side-list .name').allTextContents();
  check(names.length > 0, 'no tables are listed');
  const cells = () => page.evaluate(() => Object.fromEntries([...document.querySelectorAll('#panel-tables table.grid tbody tr:not(.space)')].slice(0, 60).map((row) => [row.querySelector('th').textContent, [...row.querySelectorAll('td')].map((td) => td.textContent)])));
  let change = null;
  for (const name of names) {
    await page.locator('#panel-tables .side-list button', { has: page.locator(`.name:text-is(${JSON.stringify(name)})`) }).click();
    await until(`rows of ${name}`, async () => (await page.locator('#table-title').textContent()) === name, 5000);
    await until(`rows of ${name}`, async () => Object.keys(await cells()).length > 0, 5000).catch(() => undefined);
    const before = await cells();
    change = await until(`a change in ${name}`, async () => {
      const now = await cells();
      for (const [key, values] of Object.entries(now)) {
        const at = values.findIndex((value, i) => !/^\d\d:\d\d:/.test(value) && before[key]?.[i] !== undefined && before[key][i] !== value);
        if (at >= 0) return { table: name, key, column: at, before: before[key][at], after: values[at] };
      }
      return null;
    }, 6000).catch(() => null);
    if (change) break;
  }
  check(change, `no cell of any table (${names.join(', ')}) changed its value`);
  check((await page.locator('#panel-tables [data-changed]').count()) > 0, 'a cell changed but no changed cell is marked');

  // Sorting keeps the focus on the heading that was used.
  const heading = page.locator('#panel-tables thead th button').nth(1);
  await heading.focus();
  await page.keyboard.press('Enter');
  await until('sorting by the second column', async () => (await page.locator('#panel-tables thead th').nth(1).getAttribute('aria-sort')) !== 'none', 3000);
  check(await heading.evaluate((button) => button === document.activeElement), 'sorting loses the focus');

  const policy = await page.evaluate(() => window.refused);
  check(policy.length === 0, `refused by the content security policy: ${policy.join('; ')}`);

  await page.click(`#tab-${o.page}`);
  if (o.page === 'overview') {
    await until('live charts', async () => (await page.locator('.chart canvas').count()) > 0);
    await page.waitForTimeout(o.settle * 1000); // for the picture only: charts need a past to show
  } else await page.waitForTimeout(1500 + o.settle * 1000);
  await page.mouse.move(1, 1);
  await page.evaluate(() => document.activeElement?.blur());
  if (o.out) await page.screenshot({ path: o.out });
  check(problems.length === 0, problems.join('\n'));
  console.log(JSON.stringify({ ok: true, tables: names, change, picture: o.out || null }));
} catch (error) {
  status = 1;
  console.error(`dashboard: ${error.message}`);
  if (problems.length) console.error(problems.join('\n'));
} finally {
  await browser?.close().catch(() => undefined);
  await rm(profile, { recursive: true, force: true, maxRetries: 5 });
}
process.exit(status);
