// A map and a log on one client of the SDK whose connection ends again and again at random moments, be it open, opening or catching up,
// and a judge (judge.mjs) of what it sees meanwhile.
//
//   node drops.mjs --url ws://HOST/connection/websocket --table T --stream LOG [--kind map] [--sdk 5.8] [--drops 50] [--seed 1]
//
// Says {"event":"subscribed"} at first, then takes commands, one a line: `begin` drops so many times and then says {"event":"done"},
// `dump` answers {"event":"dump","map":{...},"stream":{...},"partitions":{...},"rows":{...}}, `quit`.
import { createInterface } from 'node:readline';
import { connectTo, subscribeTo } from './client.mjs';
import { judged } from './judge.mjs';
import { fail, options, until } from './options.mjs';

const o = options({ url: '', table: '', stream: '', kind: 'map', sdk: '5.8', drops: 50, seed: 1 });
if (!o.url || !o.table || !o.stream) fail('needs --url, --table and --stream', 64);

const say = (event, more = {}) => process.stdout.write(`${JSON.stringify({ event, ...more })}\n`);
// mulberry32
let state = o.seed >>> 0;
function random() {
  state = (state + 0x6d2b79f5) >>> 0;
  let t = Math.imul(state ^ (state >>> 15), 1 | state);
  t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
  return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
}

const { client, drop } = await connectTo(o.url, { sdk: o.sdk, maxReconnectDelay: 200 });
client.on('disconnected', ({ code, reason }) => fail(`disconnected for good: ${code} ${reason}`));
const judge = judged((name, kind) => subscribeTo(client, name, kind, { minResubscribeDelay: 20, maxResubscribeDelay: 200 }), o.table, o.stream);
client.connect();

async function dropping() {
  for (let dropped = 0; dropped < o.drops; ) {
    // Some soon, so that they hit handshakes and catching up; some when all is live again.
    if (random() < 0.5) await until('all to be live again', judge.ready, 30000, 5);
    await new Promise((wake) => setTimeout(wake, random() * 120));
    if (drop()) dropped++;
  }
  await until('all to be live at last', judge.ready, 30000, 5);
  say('done', { drops: o.drops });
}

const commands = {
  begin: () => dropping().catch((error) => fail(error.message)),
  dump: () => say('dump', judge.dump()),
  quit: () => input.close(),
};
const input = createInterface({ input: process.stdin });
input.on('line', (line) => (commands[line.trim()] ?? (() => fail(`unknown command ${line}`, 64)))());
input.on('close', () => process.stdout.write('', () => process.exit(0)));
await until('both subscriptions', judge.ready);
say('subscribed');
