// How old an update is when an SDK client hears of it: now minus a time field of its own data (milliseconds since 1970).
//
//   node latency.mjs --url ws://HOST/connection/websocket --table T [--kind map|stream] [--field ts] [--count 1000] [--warmup 50]
//                    [--seconds 60] [--sdk 5.8]
//
// Prints {"count","p50","p90","p99","max","mean","seconds","per_s"} in ms. Whoever wrote the field has to share this machine's clock.
import { connectTo, subscribeTo } from './client.mjs';
import { fail, options } from './options.mjs';

const o = options({ url: '', table: '', kind: 'map', field: 'ts', count: 1000, warmup: 50, seconds: 60, sdk: '5.8' });
if (!o.url || !o.table || !['map', 'stream'].includes(o.kind)) fail('needs --url, --table and --kind map or stream', 64);

const { client } = await connectTo(o.url, { sdk: o.sdk });
const sub = subscribeTo(client, o.table, o.kind);
const ages = [];
let skipped = 0;
let began = 0;

function finish() {
  if (!ages.length) fail(`no update of ${o.table} with a number in "${o.field}" within ${o.seconds} s (${skipped} without)`);
  const spent = (performance.now() - began) / 1000;
  ages.sort((a, b) => a - b);
  const at = (share) => ages[Math.max(0, Math.ceil(ages.length * share) - 1)]; // nearest rank
  const round = (x) => Number(x.toFixed(3));
  const result = { count: ages.length, p50: at(0.5), p90: at(0.9), p99: at(0.99), max: ages[ages.length - 1], mean: ages.reduce((a, b) => a + b) / ages.length, seconds: spent, per_s: ages.length / spent };
  process.stdout.write(`${JSON.stringify(Object.fromEntries(Object.entries(result).map(([k, v]) => [k, round(v)])))}\n`, () => process.exit(ages.length < o.count ? 2 : 0));
}

// Sub-millisecond, in the wall clock's terms.
const now = () => performance.timeOrigin + performance.now();
let warm = 0;
const heard = ({ data, removed }) => {
  if (removed) return;
  const written = data?.[o.field];
  if (typeof written !== 'number') return void skipped++;
  if (++warm <= o.warmup) return;
  if (!began) began = performance.now();
  if (ages.push(now() - written) === o.count) finish();
};
sub.on(o.kind === 'map' ? 'update' : 'publication', heard);
sub.on('unsubscribed', ({ code, reason }) => fail(`unsubscribed: ${code} ${reason}`));
client.on('disconnected', ({ code, reason }) => fail(`disconnected: ${code} ${reason}`));
sub.subscribe();
client.connect();
setTimeout(finish, o.seconds * 1000);
