// One table or log of the package weir-client, driven from outside like sdk-client.mjs: events are JSON lines, commands come by
// standard input. Ends at `quit` or with its input.
//
//   node weir-client.mjs --url http://HOST --table T [--kind map|stream] [--sdk 5.6|5.7|5.8] [--options JSON]
//                        [--token-file FILE]: read each time a token is asked for
//
//   sync, subscribed                   the table, or the log, is ready
//   batch {reset,gap,changed,removed,added,conflated,state,freshness}   each notification
//   failed {code,message}              it never will be
//   dump {rows,entries,size,state,stale,error,freshness,conflated,batches,resets,torn,offset}   answers `dump`
// `torn` counts notifications after which what the batches say and what the table shows are not the same.
//
// Commands: dump, drop (ends the socket unheard), quit.
import { readFile } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import { connect } from '../../web/client/dist/index.js';
import { droppable, sdkOf } from './client.mjs';
import { fail, options } from './options.mjs';

const o = options({ url: '', table: '', kind: 'map', sdk: '5.8', options: '{}', 'token-file': '' });
if (!o.url || !o.table || !['map', 'stream'].includes(o.kind)) fail('needs --url, --table and --kind map or stream', 64);

const say = (event, more = {}) => process.stdout.write(`${JSON.stringify({ event, at: Date.now(), ...more })}\n`);
const { Socket, drop } = droppable();
const getToken = async () => (await readFile(o['token-file'], 'utf8')).trim();
const weir = connect(o.url, { WebSocket: Socket, sdk: await sdkOf(o.sdk), minReconnectDelay: 50, maxReconnectDelay: 1000, ...(o['token-file'] && { getToken }) });
const map = o.kind === 'map';
const live = map ? weir.table(o.table, JSON.parse(o.options)) : weir.log(o.table, JSON.parse(o.options));
const count = { batches: 0, resets: 0, torn: 0 };
// What somebody has who only follows the batches.
const mirror = new Map();
let total = 0;

live.subscribe((batch) => {
  count.batches++;
  if (batch.reset) count.resets++;
  if (map) {
    for (const key of batch.removed) mirror.delete(key);
    for (const [key, row] of batch.changed) mirror.set(key, row);
    if (mirror.size !== live.size || [...batch.changed].some(([key, row]) => live.get(key) !== row)) count.torn++;
  } else {
    total = batch.reset ? batch.added.length : total + batch.added.length;
    if (total < live.size) count.torn++;
  }
  say('batch', { reset: batch.reset, gap: batch.gap, changed: batch.changed?.size, removed: batch.removed?.size, added: batch.added?.length, conflated: batch.conflated, state: live.state, freshness: live.freshness });
});
live.ready.then(() => say(map ? 'sync' : 'subscribed'), ({ code, message }) => say('failed', { code, message }));

// By hand: an object would put keys that look like whole numbers first.
function dump() {
  const rows = map ? [...live].map(([key, row]) => `${JSON.stringify(key)}:${JSON.stringify(row)}`) : [];
  const { state, stale, error, freshness, conflated, size } = live;
  const same = !map || [...live].every(([key, row]) => mirror.get(key) === row);
  const head = JSON.stringify({ event: 'dump', size, state, stale, error: error && { code: error.code, message: error.message }, freshness, conflated, ...count, same, entries: map ? [] : [...live] });
  process.stdout.write(`${head.slice(0, -1)},"rows":{${rows.join(',')}}}\n`);
}

const input = createInterface({ input: process.stdin });
const commands = { dump, drop, quit: () => input.close() };
input.on('line', (line) => commands[line.trim()]?.());
input.on('close', () => {
  weir.close();
  // What was said goes out before the end.
  process.stdout.write('', () => process.exit(0));
});
