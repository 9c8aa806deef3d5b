// The page in a real browser against the mock server.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chromium } from 'playwright-core';
import { bundle } from '../build.mjs';
import { startMock } from '../dev/mock-server.mjs';

let folder;
let mock;
let browser;
const problems = [];

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'weir-page-'));
  await bundle(join(folder, 'dist'));
  mock = await startMock({ dist: join(folder, 'dist'), rows: 5000, page: 300 });
  browser = await chromium.launchPersistentContext(join(folder, 'profile'), {
    executablePath: process.env.WEIR_CHROMIUM || '/usr/bin/chromium', headless: true, viewport: { width: 1280, height: 900 },
    args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
  });
});
after(async () => {
  await browser?.close();
  await mock?.stop();
  await rm(folder, { recursive: true, force: true, maxRetries: 5 });
});

async function open(hash = '') {
  const page = await browser.newPage();
  page.setDefaultTimeout(15000);
  problems.length = 0;
  page.on('console', (message) => message.type() === 'error' && problems.push(message.text()));
  page.on('pageerror', (error) => problems.push(error.stack ?? error.message));
  await page.goto(`${mock.url}/${hash}`);
  await page.locator('#connection[data-state="connected"]').waitFor();
  return page;
}

const choose = (page, table) => page.locator('#panel-tables .side-list button', { has: page.locator(`.name:text-is("${table}")`) }).click();

test('a table of 5,000 rows shows a window of them and says how many more there are', async () => {
  const page = await open('#tables');
  await choose(page, 'fleet');
  await page.locator('.more:text-is("Show 4,750 more")').waitFor();
  assert.ok((await page.locator('table.grid tbody tr').count()) < 80);
  await page.locator('.more').click();
  await page.locator('.more').waitFor({ state: 'hidden' });
  const scroller = page.locator('.grid-frame .scroller');
  await scroller.evaluate((element) => element.scrollTo(0, element.scrollHeight));
  await page.locator('table.grid th:text-is("machine-04999")').waitFor();
  assert.ok((await page.locator('table.grid tbody tr').count()) < 80);
  // Long tasks are what a reader feels as freezing.
  const slowest = await page.evaluate(() => new Promise((done) => {
    let worst = 0;
    let last = performance.now();
    const end = last + 2000;
    const frame = (now) => {
      worst = Math.max(worst, now - last);
      last = now;
      if (now < end) requestAnimationFrame(frame);
      else done(worst);
    };
    requestAnimationFrame(frame);
  }));
  assert.ok(slowest < 1000, `a frame took ${slowest} ms`);
  assert.deepEqual(problems, []);
  await page.close();
});

test('changed cells are marked and removed rows go', async () => {
  const page = await open('#tables');
  await choose(page, 'processes');
  mock.tables.get('processes').set('77', { pid: 77, name: 'short-lived', cpu: 1, rss_mb: 1, ts: Date.now() });
  const row = page.locator('table.grid tbody tr', { has: page.locator('th:text-is("77")') });
  await row.waitFor();
  assert.equal(await row.locator('[data-changed]').count(), 0);
  mock.tables.get('processes').set('77', { pid: 77, name: 'short-lived', cpu: 50, rss_mb: 1, ts: 0 });
  await row.locator('td[data-changed]:text-matches("^50")').waitFor();
  mock.tables.get('processes').remove('77');
  await row.waitFor({ state: 'detached' });
  await page.close();
});

test('a table says how old what it shows is, and what was left out', async () => {
  const page = await open('#tables');
  await choose(page, 'fleet');
  await page.locator('.facts', { hasText: '120 ms old' }).first().waitFor();
  await page.waitForFunction(() => / conflated/.test(document.querySelector('#panel-tables .facts').textContent));
  await page.close();
});

test('the filter and sorting choose and order the rows', async () => {
  const page = await open('#tables');
  await choose(page, 'fleet');
  await page.locator('.more').waitFor();
  await page.getByLabel('Filter rows').fill('machine-0123');
  await page.locator('table.grid th:text-is("machine-01230")').waitFor();
  await page.waitForFunction(() => document.querySelectorAll('table.grid tbody tr:not(.space)').length === 10);
  await page.locator('thead button', { hasText: 'key' }).click();
  await page.waitForFunction(() => document.querySelector('table.grid tbody th')?.textContent === 'machine-01239');
  await page.getByLabel('Filter rows').fill('no such machine');
  await page.locator('text=No row matches the filter.').waitFor();
  await page.close();
});

test('a dropped connection is said, comes back by itself and nothing is lost', async () => {
  const page = await open('#tables');
  await choose(page, 'by_kind');
  await page.locator('table.grid tbody th').first().waitFor();
  await page.evaluate(() => {
    window.states = [];
    new MutationObserver(() => window.states.push(document.querySelector('#connection').dataset.state)).observe(document.querySelector('#connection'), { attributes: true });
  });
  mock.dropSockets();
  mock.tables.get('by_kind').set('while away', { records: 41 });
  await page.waitForFunction(() => window.states.includes('reconnecting') && window.states.at(-1) === 'connected');
  await page.locator('table.grid th:text-is("while away")').waitFor();
  mock.tables.get('by_kind').remove('while away');
  await page.close();
});

test('a job is run from its button and its outcome is shown, good or bad', async () => {
  const page = await open('#jobs');
  await page.getByRole('button', { name: 'Run now' }).first().click();
  await page.locator('.outcome', { hasText: /Run: (completed|failed), [\d,]+ read, 4 written/ }).waitFor();
  await page.getByRole('button', { name: 'Run now' }).last().click();
  await page.locator('.outcome.bad', { hasText: 'Failed: the table it reads is not there' }).waitFor();
  assert.ok((await page.locator('.job').first().locator('tbody tr').count()) >= 1);
  await page.close();
});

test('charts suggest themselves, one is added and is there again after a reload', async () => {
  const page = await open();
  await page.locator('.chart').nth(3).waitFor();
  assert.equal(await page.locator('.chart h3').first().textContent(), 'cpubusy');
  await page.locator('summary', { hasText: 'Add chart' }).click();
  await page.getByLabel('Table', { exact: true }).selectOption('metrics');
  await page.waitForFunction(() => [...document.querySelectorAll('.add-chart select')].every((select) => select.options.length > 0));
  await page.getByLabel('Row', { exact: true }).selectOption('memory');
  await page.getByLabel('Field', { exact: true }).selectOption('busy');
  await page.getByRole('button', { name: 'Add', exact: true }).click();
  await page.locator('.chart h3', { hasText: 'memorybusy' }).waitFor();
  await page.reload();
  const own = page.locator('.chart', { hasText: 'memorybusy' });
  await own.locator('canvas').waitFor();
  await own.getByRole('button', { name: /Remove the chart/ }).click();
  await own.waitFor({ state: 'detached' });
  assert.deepEqual(problems, []);
  await page.close();
});

test('the chosen colours outlive a reload, without another sheet flashing first', async () => {
  const page = await open();
  const ground = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  const light = await ground();
  await page.locator('#theme').click();
  await page.locator('#theme').click();
  assert.equal(await page.evaluate(() => document.documentElement.dataset.theme), 'dark');
  const dark = await ground();
  assert.notEqual(dark, light);
  await page.reload({ waitUntil: 'commit' });
  await page.waitForFunction(() => document.body);
  assert.equal(await page.evaluate(() => document.documentElement.dataset.theme), 'dark');
  await page.locator('#theme').click();
  assert.equal(await page.evaluate(() => document.documentElement.dataset.theme), undefined);
  await page.close();
});

test('the log goes on at the top, pauses and is filtered', async () => {
  const page = await open('#log');
  const first = () => page.locator('.log li').first().textContent();
  await page.locator('.log li').first().waitFor();
  const before = await first();
  await page.waitForFunction((text) => document.querySelector('.log li').textContent !== text, before);
  await page.getByRole('button', { name: 'Pause' }).click();
  const held = await first();
  mock.tables.get('history').append({ kind: 'cpu', name: 'pause-probe', ts: Date.now(), busy: 1 });
  await page.getByLabel('Filter entries').fill('pause-probe');
  await page.locator('text=No entry matches the filter.').waitFor();
  await page.getByLabel('Filter entries').fill('');
  await page.waitForFunction((text) => document.querySelector('.log li')?.textContent === text, held);
  await page.getByRole('button', { name: 'Go on' }).click();
  await page.getByLabel('Filter entries').fill('pause-probe');
  await page.locator('.log li', { hasText: 'pause-probe' }).waitFor();
  assert.ok((await page.locator('.log li').count()) === 1);
  await page.close();
});

test('a node that is not ready says what it waits for', async () => {
  mock.state.ready = false;
  const page = await open('#health');
  await page.locator('.waiting li', { hasText: 'redis: connection refused' }).waitFor();
  mock.state.ready = true;
  await page.locator('.node .ready:text-is("ready")').waitFor();
  await page.close();
});

test('at 360 px no section scrolls sideways', async () => {
  const page = await open();
  await page.setViewportSize({ width: 360, height: 740 });
  for (const id of ['overview', 'tables', 'log', 'jobs', 'health']) {
    await page.locator(`#tab-${id}`).click();
    await page.locator(`#panel-${id} > *`).first().waitFor();
    const wide = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
    assert.equal(wide, 0, id);
  }
  await page.close();
});

test('a node that asks for tokens gets one from the reader, and the page keeps it nowhere', async () => {
  mock.state.token = 'good-token';
  try {
    const page = await browser.newPage();
    page.setDefaultTimeout(15000);
    await page.goto(`${mock.url}/#tables`);
    await page.locator('#token-form').waitFor();
    assert.equal(await page.locator('#panel-tables .side-list .name').count(), 0);
    const give = async (token) => {
      await page.getByLabel('This node asks for a token').fill(token);
      await page.getByRole('button', { name: 'Use token' }).click();
    };
    await give('another-token');
    await page.locator('#token-why', { hasText: 'does not fit' }).waitFor();
    await give('Bearer good-token');
    await page.locator('#connection[data-state="connected"]').waitFor();
    await page.locator('#panel-tables table.grid tbody tr:not(.space)').first().waitFor();
    assert.equal(await page.locator('#token-form').isVisible(), false);
    const kept = await page.evaluate(() => JSON.stringify([location.href, { ...localStorage }, { ...sessionStorage }, document.cookie, document.documentElement.outerHTML]));
    assert.ok(!kept.includes('good-token'), 'the token is kept');
    await page.reload();
    await page.locator('#token-form').waitFor();
    await page.close();
  } finally {
    mock.state.token = '';
  }
});

test('a node that forbids its state and its jobs is not asked for them again and again', async () => {
  const page = await browser.newPage();
  const asked = { nodes: 0, jobs: 0, tables: 0 };
  await page.clock.install();
  await page.route(`${mock.url}/api/v1/*`, (route) => {
    const what = new URL(route.request().url()).pathname.split('/').pop();
    asked[what]++;
    return what === 'tables' ? route.fallback() : route.fulfill({ status: 403, json: { error: { code: 'denied', message: 'the token does not permit it' } } });
  });
  await page.goto(`${mock.url}/#health`);
  await page.locator('#panel-health', { hasText: 'the token does not permit it' }).waitFor();
  await page.locator('#panel-jobs .empty', { hasText: 'the token does not permit it' }).waitFor({ state: 'attached' });
  // Further tables are asked for, so the page is alive.
  for (const before = asked.tables; asked.tables < before + 5; ) await page.clock.runFor(4000);
  assert.deepEqual([asked.nodes, asked.jobs], [1, 1]);
  await page.close();
});
