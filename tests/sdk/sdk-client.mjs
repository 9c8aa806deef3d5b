// One subscription of the unmodified centrifuge SDK, driven from outside: events are JSON lines of standard output, commands come
// one a line by standard input. Ends at `quit` or with its input.
//
//   node sdk-client.mjs --url ws://HOST/connection/websocket --table T [--kind map|stream] [--sdk 5.6|5.7|5.8]
//                       [--page ROWS] [--data JSON] [--token T] [--token-file FILE] [--delta] [--quiet]
//
// Every event has "event", "at" (ms since 1970) and "mono" (ms, monotonic):
//   connecting {code,reason}   connected {client,transport}   disconnected {code,reason}   error {type,code,message}
//   subscribing {code,reason}  subscribed {wasRecovering,recovered,positioned,offset,epoch}  unsubscribed {code,reason}
//   sync {size}                        the state of a map is there, or was fetched anew
//   update {key,removed,data,offset}   of a map
//   publication {offset,data,tags}     of a stream
//   token {}                           the SDK asked for a token: --token-file is read each time
//   dump {rows,size,syncs,updates,removals,publications,offset,epoch,state}   answers `dump`; rows in the order of their keys
// --quiet leaves out update and publication (dump counts them).
//
// Commands: dump, disconnect, connect, unsubscribe, subscribe, drop (ends the socket unheard, the SDK reconnects by itself), quit.
import { readFile } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import { connectTo, subscribeTo } from './client.mjs';
import { fail, options } from './options.mjs';

const o = options({ url: '', table: '', kind: 'map', sdk: '5.8', page: 0, data: '', token: '', 'token-file': '' }, ['quiet', 'delta']);
if (!o.url || !o.table || !['map', 'stream'].includes(o.kind)) fail('needs --url, --table and --kind map or stream', 64);

const say = (event, more = {}) => process.stdout.write(`${JSON.stringify({ event, at: Date.now(), mono: performance.now(), ...more })}\n`);
const rows = new Map();
const count = { syncs: 0, updates: 0, removals: 0, publications: 0 };
const last = { offset: 0, epoch: '' };

async function getToken() {
  const token = (await readFile(o['token-file'], 'utf8')).trim();
  say('token');
  return token;
}

const { client, drop } = await connectTo(o.url, { sdk: o.sdk, ...(o.token && { token: o.token }), ...(o['token-file'] && { getToken }) });
client.on('connecting', ({ code, reason }) => say('connecting', { code, reason }));
client.on('connected', ({ client: id, transport }) => say('connected', { client: id, transport }));
client.on('disconnected', ({ code, reason }) => say('disconnected', { code, reason }));
client.on('error', ({ type, error }) => say('error', { type, code: error?.code, message: error?.message }));

const settings = { minResubscribeDelay: 50, maxResubscribeDelay: 1000 };
if (o.data) settings.data = JSON.parse(o.data);
if (o.delta) settings.delta = 'fossil';
if (o.page && o.kind === 'map') settings.pageSize = o.page;
const sub = subscribeTo(client, o.table, o.kind, settings);
sub.on('subscribing', ({ code, reason }) => say('subscribing', { code, reason }));
sub.on('subscribed', ({ wasRecovering, recovered, recoverable, positioned, streamPosition }) => {
  if (streamPosition) Object.assign(last, { offset: streamPosition.offset, epoch: streamPosition.epoch });
  say('subscribed', { wasRecovering, recovered, recoverable, positioned, offset: streamPosition?.offset, epoch: streamPosition?.epoch });
});
sub.on('unsubscribed', ({ code, reason }) => say('unsubscribed', { code, reason }));
sub.on('error', ({ type, error }) => say('error', { type, code: error?.code, message: error?.message }));
if (o.kind === 'map') {
  sub.on('sync', ({ entries }) => {
    rows.clear();
    for (const { key, data } of entries) rows.set(key, data);
    count.syncs++;
    say('sync', { size: rows.size });
  });
  sub.on('update', ({ key, data, removed, offset }) => {
    if (removed) {
      rows.delete(key);
      count.removals++;
    } else rows.set(key, data);
    count.updates++;
    if (offset) last.offset = offset;
    if (!o.quiet) say('update', { key, removed: Boolean(removed), data: removed ? null : data, offset });
  });
} else {
  sub.on('publication', ({ data, offset, tags }) => {
    count.publications++;
    if (offset) last.offset = offset;
    if (!o.quiet) say('publication', { offset, data, tags });
  });
}
sub.subscribe();
client.connect();

// By hand: an object would put keys that look like whole numbers first.
function dump() {
  const sorted = [...rows.keys()].sort().map((key) => `${JSON.stringify(key)}:${JSON.stringify(rows.get(key))}`);
  const head = JSON.stringify({ event: 'dump', at: Date.now(), mono: performance.now(), size: rows.size, ...count, ...last, state: sub.state });
  process.stdout.write(`${head.slice(0, -1)},"rows":{${sorted.join(',')}}}\n`);
}

const commands = {
  dump,
  drop,
  connect: () => client.connect(),
  disconnect: () => client.disconnect(),
  subscribe: () => sub.subscribe(),
  unsubscribe: () => sub.unsubscribe(),
  quit: () => input.close(),
};
const input = createInterface({ input: process.stdin });
input.on('line', (line) => {
  const command = commands[line.trim()];
  if (command) command();
  else if (line.trim()) say('error', { type: 'command', message: `unknown command ${line.trim()}` });
});
input.on('close', () => {
  client.disconnect();
  // What was said goes out before the end.
  process.stdout.write('', () => process.exit(0));
});
