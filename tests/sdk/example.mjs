// Opens a page of examples/clients in a real browser and waits until one of its cells changes.
//
//   node example.mjs --url http://127.0.0.1:5173/?node=... [--out picture.png] [--browser /usr/bin/chromium]
//
// Exit 0: rows came, the text of a cell changed, and the console has no error.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chromium } from 'playwright-core';
import { options, until } from './options.mjs';

const o = options({ url: '', out: '', browser: process.env.WEIR_CHROMIUM || '/usr/bin/chromium' });
const profile = await mkdtemp(join(tmpdir(), 'weir-example-'));
const problems = [];
let browser;
let status = 0;
try {
  browser = await chromium.launchPersistentContext(profile, { executablePath: o.browser, headless: true, args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'] });
  const page = browser.pages()[0] ?? (await browser.newPage());
  page.on('console', (message) => message.type() === 'error' && problems.push(message.text()));
  page.on('pageerror', (error) => problems.push(error.stack ?? error.message));
  await page.goto(o.url);
  const cells = () => page.locator('tbody td').allTextContents();
  const before = await until('rows', async () => ((await cells()).length > 0 ? cells() : null));
  await until('a change', async () => (await cells()).some((text, i) => before[i] !== undefined && before[i] !== text));
  if (o.out) await page.screenshot({ path: o.out });
  if (problems.length) throw new Error(problems.join('\n'));
  console.log(JSON.stringify({ ok: true, cells: before.length, status: await page.locator('[role=status]').first().textContent() }));
} catch (error) {
  status = 1;
  console.error(`example: ${error.message}`);
  if (problems.length) console.error(problems.join('\n'));
} finally {
  await browser?.close().catch(() => undefined);
  await rm(profile, { recursive: true, force: true, maxRetries: 5 });
}
process.exit(status);
