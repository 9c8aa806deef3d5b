// The same map, log and judge as drops.mjs in a page of a real browser; whoever started it breaks the network.
//
//   node page.mjs --url http://HOST --table T --stream LOG [--kind map] [--sdk 5.8] [--token-file FILE] [--browser /usr/bin/chromium]
//
// Says {"event":"subscribed"} at first, then takes `dump` and `quit`, as drops.mjs does; the dump has also "connected", so many times, and
// "tokens", how often the SDK asked for one: the file is read each time.
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';
import { releases } from './client.mjs';
import { fail, options } from './options.mjs';

const o = options({ url: '', table: '', stream: '', kind: 'map', sdk: '5.8', 'token-file': '', browser: process.env.WEIR_CHROMIUM || '/usr/bin/chromium' });
if (!o.url || !o.table || !o.stream || !releases[o.sdk]) fail('needs --url, --table, --stream and a release of the SDK that is here', 64);

const say = (event, more = {}) => process.stdout.write(`${JSON.stringify({ event, ...more })}\n`);
const folder = fileURLToPath(new URL('.', import.meta.url));
const files = {
  '/judge/': ['text/html', '<!doctype html><meta charset="utf-8"><title>judge</title><script src="/judge/sdk.js"></script><script type="module" src="/judge/main.js"></script>'],
  '/judge/sdk.js': ['text/javascript', await readFile(join(folder, 'node_modules', releases[o.sdk], 'dist', 'centrifuge.js'), 'utf8')],
  '/judge/judge.mjs': ['text/javascript', await readFile(join(folder, 'judge.mjs'), 'utf8')],
  '/judge/main.js': ['text/javascript', `
    import { judged } from '/judge/judge.mjs';
    const getToken = async () => (await fetch('/judge/token')).text();
    const client = new Centrifuge(${JSON.stringify(`${o.url.replace(/^http/, 'ws')}/connection/websocket`)},
                                  { minReconnectDelay: 50, maxReconnectDelay: 200${o['token-file'] && ', getToken'} });
    window.connected = 0;
    client.on('connected', () => window.connected++);
    const settings = { minResubscribeDelay: 20, maxResubscribeDelay: 200 };
    window.judge = judged((name, kind) => kind === 'map' ? client.newMapSubscription(name, settings) : client.newSubscription(name, { recoverable: true, ...settings }),
                          ${JSON.stringify(o.table)}, ${JSON.stringify(o.stream)});
    client.connect();`],
};

const profile = await mkdtemp(join(tmpdir(), 'weir-browser-'));
let browser;
let tokens = 0;
async function end(code) {
  await browser?.close().catch(() => undefined);
  await rm(profile, { recursive: true, force: true, maxRetries: 5 });
  process.exit(code);
}

try {
  browser = await chromium.launchPersistentContext(profile, {
    executablePath: o.browser,
    headless: true,
    args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync',
      // A page that is made up by the test counts as one of the public network, which may not connect to this machine.
      '--disable-features=LocalNetworkAccessChecks'],
  });
  const page = browser.pages()[0] ?? (await browser.newPage());
  page.on('pageerror', (error) => {
    console.error(`exception in the page: ${error.stack ?? error.message}`);
    void end(1);
  });
  // The page is the node's own as far as the browser knows, so its WebSocket passes the node's check of origins.
  await page.route(`${o.url}/judge/**`, async (route) => {
    if (new URL(route.request().url()).pathname === '/judge/token') {
      tokens++;
      return route.fulfill({ contentType: 'text/plain', body: (await readFile(o['token-file'], 'utf8')).trim() });
    }
    const [contentType, body] = files[new URL(route.request().url()).pathname] ?? [];
    return body ? route.fulfill({ contentType, body }) : route.fulfill({ status: 404 });
  });
  await page.goto(`${o.url}/judge/`);
  await page.waitForFunction(() => window.judge?.ready(), undefined, { timeout: 20000 });

  const commands = {
    dump: async () => say('dump', { tokens, ...(await page.evaluate(() => ({ ready: window.judge.ready(), connected: window.connected, ...window.judge.dump() }))) }),
    quit: async () => input.close(),
  };
  const input = createInterface({ input: process.stdin });
  input.on('line', (line) => (commands[line.trim()] ?? (async () => fail(`unknown command ${line}`, 64)))().catch((error) => {
    console.error(error.message);
    void end(1);
  }));
  input.on('close', () => void end(0));
  say('subscribed');
} catch (error) {
  console.error(`page: ${error.message}`);
  await end(1);
}
