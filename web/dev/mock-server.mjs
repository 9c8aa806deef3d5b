// Speaks the part of weir's client protocol and REST that the dashboard uses, over made-up data, so that the page can be worked
// on and tested without a node.
//
//   node dev/mock-server.mjs [--port 8090] [--dist DIR] [--watch] [--rows N] [--page N] [--frozen]
//
// --watch bundles again when web/src changes; --rows is the size of the table `fleet`; --page the rows of a state page; --frozen: nothing
// ever changes.
import { createServer } from 'node:http';
import { readFile } from 'node:fs/promises';
import { watch } from 'node:fs';
import { dirname, extname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { WebSocketServer } from 'ws';
import { bundle } from '../build.mjs';

const here = dirname(fileURLToPath(import.meta.url));
const types = { '.html': 'text/html; charset=utf-8', '.js': 'text/javascript; charset=utf-8', '.css': 'text/css; charset=utf-8', '.svg': 'image/svg+xml' };
// No weaker than what a node sends with the page.
const csp = "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

// A table with rows by key and the version of their last change; removed rows stay as tombstones.
class Table {
  constructor(name, kind) {
    Object.assign(this, { name, kind, rows: new Map(), gone: new Map(), offset: 0, epoch: 'e' + Math.random().toString(16).slice(2, 10), listeners: new Set() });
  }
  set(key, data) {
    this.gone.delete(key);
    this.rows.set(key, { data, offset: ++this.offset });
    this.publish({ key, data, offset: this.offset });
  }
  remove(key) {
    if (!this.rows.delete(key)) return;
    this.gone.set(key, ++this.offset);
    this.publish({ key, removed: true, data: {}, offset: this.offset });
  }
  publish(pub) {
    for (const listener of this.listeners) listener(pub);
  }
  since(offset) {
    const changed = [];
    for (const [key, row] of this.rows) if (row.offset > offset) changed.push({ key, data: row.data, offset: row.offset });
    for (const [key, at] of this.gone) if (at > offset) changed.push({ key, removed: true, data: {}, offset: at });
    return changed.sort((a, b) => a.offset - b.offset);
  }
}

class Log {
  constructor(name, keep) {
    Object.assign(this, { name, kind: 'log', keep, entries: [], offset: 0, epoch: 'e' + Math.random().toString(16).slice(2, 10), listeners: new Set() });
  }
  append(data) {
    const pub = { data, offset: ++this.offset };
    this.entries.push(pub);
    if (this.entries.length > this.keep) this.entries.shift();
    for (const listener of this.listeners) listener(pub);
  }
}

export async function startMock({ port = 0, dist, rows = 0, page = 200, frozen = false } = {}) {
  const tables = new Map();
  const add = (table) => (tables.set(table.name, table), table);
  const metrics = add(new Table('metrics', 'latest'));
  const processes = add(new Table('processes', 'latest'));
  const byKind = add(new Table('by_kind', 'aggregate'));
  const cpuMinute = add(new Table('cpu_minute', 'latest'));
  const history = add(new Log('history', 5000));
  const fleet = rows > 0 ? add(new Table('fleet', 'latest')) : null;

  const started = Date.now();
  const state = { records: 0, dead: 0, positions: Array.from({ length: 4 }, (_, i) => 1000 * i), runs: [], running: false, ready: true, token: '' };
  const cpus = Array.from({ length: 4 }, (_, i) => 20 + 10 * i);
  let used = 5.2e9;
  const counts = new Map();
  const names = ['weir', 'chromium', 'postgres', 'code', 'kworker/2:1', 'node', 'Xorg', 'redis-server', 'sshd', 'systemd'];
  const round = (x, n = 1) => Number(x.toFixed(n));
  const walk = (x, step, low, high) => Math.min(high, Math.max(low, x + (Math.random() - 0.5) * 2 * step));
  const record = (key, data) => {
    metrics.set(key, data);
    if (data.kind === 'cpu') history.append(data);
    state.records++;
    state.positions[key.length % 4]++;
    const c = counts.get(data.kind) ?? { records: 0, last_ts: 0, busiest: 0 };
    c.records++;
    c.last_ts = data.ts;
    c.busiest = Math.max(c.busiest, data.busy ?? 0);
    counts.set(data.kind, c);
    byKind.set(data.kind, { ...c });
  };
  const tick = () => {
    const ts = Date.now();
    cpus.forEach((busy, i) => {
      cpus[i] = walk(busy, 9, 1, 99);
      const user = cpus[i] * 0.7;
      record(`cpu${i}`, { kind: 'cpu', name: `cpu${i}`, ts, busy: round(cpus[i]), user: round(user), system: round(cpus[i] - user) });
    });
    used = walk(used, 6e7, 3e9, 12e9);
    record('memory', { kind: 'memory', name: 'memory', ts, busy: round(used / 165e6), total_mb: 15735.6, used_mb: round(used / 1048576), available_mb: round((16.5e9 - used) / 1048576), swap_used_mb: 0 });
    record('net:eth0', { kind: 'net', name: 'eth0', ts, busy: 0, in_bytes_s: Math.round(Math.random() ** 3 * 4e6), out_bytes_s: Math.round(Math.random() ** 3 * 9e5) });
    record('disk:nvme0n1', { kind: 'disk', name: 'nvme0n1', ts, busy: 1.5, read_bytes_s: Math.round(Math.random() ** 4 * 9e6), write_bytes_s: Math.round(Math.random() ** 4 * 4e6) });
    if (Math.random() < 0.02) state.dead++;
    names.forEach((name, i) => {
      if (Math.random() < 0.5) processes.set(String(400 + 131 * i), { pid: 400 + 131 * i, name, cpu: round(Math.random() ** 3 * 60), rss_mb: round((1 + i) * 31 + Math.random()), ts });
    });
    if (Math.random() < 0.15) processes.set('9999', { pid: 9999, name: 'cc1plus', cpu: round(80 + Math.random() * 20), rss_mb: 410.2, ts });
    else if (Math.random() < 0.1) processes.remove('9999');
    if (fleet) for (let i = 0; i < 200; i++) {
      const n = Math.floor(Math.random() * rows);
      fleet.set(`machine-${String(n).padStart(5, '0')}`, { site: 'abcdef'[n % 6], cpu: round(Math.random() * 100), temp: round(30 + Math.random() * 40), ok: Math.random() < 0.97, note: n % 7 ? null : 'spare' });
    }
  };
  if (fleet) for (let n = 0; n < rows; n++) fleet.set(`machine-${String(n).padStart(5, '0')}`, { site: 'abcdef'[n % 6], cpu: 0, temp: 30, ok: true, note: null });
  let runs = 0;
  const run = () => {
    const begun = Date.now();
    const per = new Map();
    for (const { data } of history.entries) if (data.kind === 'cpu' && data.ts > begun - 60000) {
      const p = per.get(data.name) ?? { n: 0, sum: 0, max: 0 };
      p.n++; p.sum += data.busy; p.max = Math.max(p.max, data.busy);
      per.set(data.name, p);
    }
    for (const [name, p] of per) cpuMinute.set(name, { n: p.n, busy_avg: round(p.sum / p.n, 2), busy_max: p.max });
    state.runs.unshift({ run: ++runs, status: runs % 11 === 7 ? 'FAILED' : 'COMPLETED', started: begun - 3, ended: Date.now() + 4, duration_ms: 7 + (runs % 5), read: history.entries.length, written: per.size, message: runs % 11 === 7 ? 'redis: connection lost' : '' });
    state.runs.length = Math.min(state.runs.length, 20);
    return state.runs[0];
  };
  tick();
  run();
  const timers = frozen ? [] : [setInterval(tick, 200), setInterval(run, 10000)];

  const json = (response, status, value) => {
    response.writeHead(status, { 'content-type': 'application/json', 'cache-control': 'no-store' });
    response.end(JSON.stringify(value));
  };
  const server = createServer(async (request, response) => {
    const path = decodeURIComponent(new URL(request.url, 'http://x').pathname);
    const bearer = (request.headers.authorization ?? '').replace(/^Bearer /, '');
    if (state.token && path.startsWith('/api/v1/') && bearer !== state.token) return json(response, 401, { error: { code: 'unauthorized', message: bearer ? "the token's signature does not fit" : 'a token is needed', at: path } });
    if (path === '/api/v1/tables') {
      return json(response, 200, { tables: [...tables.values()].map((t) => ({ name: t.name, kind: t.kind, rows: t.rows ? t.rows.size : t.entries.length, offset: t.offset, epoch: t.epoch })) });
    }
    const one = /^\/api\/v1\/tables\/([^/]+)$/.exec(path);
    if (one) {
      const t = tables.get(one[1]);
      if (!t) return json(response, 404, { error: { code: 'unknown_table', message: `no table ${one[1]}`, at: '' } });
      const body = { table: t.name, epoch: t.epoch, offset: t.offset };
      if (t.kind === 'log') body.entries = t.entries.slice(-Number(new URL(request.url, 'http://x').searchParams.get('limit') ?? 100)).map((e) => ({ time: e.data.ts, partition: 0, offset: e.offset, value: e.data }));
      else body.rows = Object.fromEntries([...t.rows].map(([k, r]) => [k, r.data]));
      return json(response, 200, body);
    }
    if (path === '/api/v1/jobs') {
      return json(response, 200, { jobs: [
        { name: 'rollup', trigger: 'every 10s', every: '10000ms', on: '', running: state.running, last: state.runs[0], history: state.runs, next_fire: Math.ceil(Date.now() / 10000) * 10000, runs },
        { name: 'cleanup', trigger: 'on demand', every: '', on: 'demand', running: false, last: null, history: [], next_fire: 0, runs: 0 },
      ] });
    }
    const fire = /^\/api\/v1\/jobs\/([^/]+)\/run$/.exec(path);
    if (fire && request.method === 'POST') {
      if (fire[1] !== 'rollup') return json(response, 500, { job: fire[1], run: 1, status: 'FAILED', message: 'the table it reads is not there' });
      return setTimeout(() => json(response, 200, run()), 300);
    }
    if (path === '/api/v1/nodes') {
      return json(response, 200, { nodes: [{
        name: 'demo-1', version: '0.1.0', uptime_s: Math.round((Date.now() - started) / 1000), ready: state.ready, waiting: state.ready ? [] : ['redis: connection refused'],
        memory_bytes: 48e6 + Math.round(Math.random() * 1e6), cpu_percent: round(2 + Math.random() * 3), sessions: sockets.clients.size,
        sources: [{ name: 'samples', topic: 'samples', records_per_s: round(33 + Math.random() * 4), dead_letters: state.dead,
          partitions: state.positions.map((position, partition) => ({ partition, position, lag: Math.floor(Math.random() * 4), state: 'running' })) }],
        redis: { connected: true, links: 2, url: 'unix' }, tables: [...tables.keys()],
      }] });
    }
    if (path === '/readyz') return json(response, state.ready ? 200 : 503, { ready: state.ready, waiting: state.ready ? [] : ['redis: connection refused'] });
    try {
      const file = path === '/' ? '/index.html' : path;
      if (file.includes('..')) throw new Error('outside');
      const bytes = await readFile(join(dist, file));
      response.writeHead(200, { 'content-type': types[extname(file)] ?? 'application/octet-stream', 'content-security-policy': csp, 'x-content-type-options': 'nosniff' });
      response.end(bytes);
    } catch {
      json(response, 404, { error: { code: 'not_found', message: `nothing at ${path}`, at: '' } });
    }
  });

  const sockets = new WebSocketServer({ server, path: '/connection/websocket' });
  sockets.on('connection', (socket) => {
    const subscriptions = new Map();
    const asked = new Map(); // data of a subscription's first request
    // Pushes of one moment go out as one message, as weir sends them.
    let waiting = [];
    const send = (object) => {
      if (waiting.push(JSON.stringify(object)) === 1) setImmediate(() => {
        if (socket.readyState === 1) socket.send(waiting.join('\n'));
        waiting = [];
      });
    };
    const listen = (table, { max_rate, tags } = {}) => {
      if (subscriptions.has(table.name)) return;
      // With a rate: the newest change of each key, so many times a second.
      const held = new Map();
      let left = 0;
      const push = (pub, more) => send({ push: { channel: table.name, pub: tags ? { ...pub, tags: { t: String(Date.now() - 120), age: '120', ...more } } : pub } });
      const listener = (pub) => {
        if (!max_rate || pub.key === undefined) return push(pub);
        if (held.delete(pub.key)) left++;
        held.set(pub.key, pub);
      };
      const flush = () => {
        const all = [...held.values()];
        held.clear();
        all.forEach((pub, i) => push(pub, left && i === all.length - 1 ? { conflated: String(left) } : {}));
        if (all.length) left = 0;
      };
      const timer = max_rate ? setInterval(flush, 1000 / parseFloat(max_rate)) : undefined;
      subscriptions.set(table.name, () => {
        clearInterval(timer);
        table.listeners.delete(listener);
      });
      table.listeners.add(listener);
    };
    const subscribe = (id, s) => {
      const t = tables.get(s.channel);
      const fail = (code, message) => send({ id, error: { code, message } });
      if (!t) return fail(102, 'unknown channel');
      const base = { epoch: t.epoch, offset: t.offset, recoverable: true, positioned: true };
      if (t.kind === 'log') {
        if (s.type) return fail(107, 'a log is a stream');
        if (s.recover) {
          const oldest = t.entries[0]?.offset ?? t.offset + 1;
          const ok = s.epoch === t.epoch && s.offset >= oldest - 1;
          const publications = ok ? t.entries.filter((e) => e.offset > s.offset) : undefined;
          send({ id, subscribe: { ...base, offset: ok ? s.offset : t.offset, was_recovering: true, recovered: ok, publications } });
        } else send({ id, subscribe: base });
        return listen(t, s.data);
      }
      if (s.data) asked.set(t.name, s.data);
      if (s.type !== 1) return fail(107, 'a table is a map');
      if (s.phase === 2) {
        const keys = [...t.rows.keys()].sort();
        const at = s.cursor ? keys.findIndex((k) => k > s.cursor) : 0;
        const slice = at < 0 ? [] : keys.slice(at, at + page);
        const more = at >= 0 && at + page < keys.length;
        const stateRows = slice.map((key) => ({ key, data: t.rows.get(key).data, offset: t.rows.get(key).offset }));
        if (more) return send({ id, subscribe: { type: 1, phase: 2, epoch: t.epoch, offset: s.cursor ? s.offset : t.offset, cursor: slice.at(-1), state: stateRows } });
        const publications = s.cursor ? t.since(s.offset) : undefined;
        send({ id, subscribe: { type: 1, ...base, state: stateRows, publications } });
      } else {
        if (s.epoch !== t.epoch || s.offset > t.offset) return fail(112, 'unrecoverable position');
        send({ id, subscribe: { type: 1, ...base, was_recovering: true, recovered: true, publications: t.since(s.offset) } });
      }
      listen(t, s.data ?? asked.get(t.name)); // further pages come without data
    };
    const pinger = setInterval(() => socket.send('{}'), 25000);
    socket.on('message', (text) => {
      for (const line of String(text).split('\n')) {
        if (!line.trim()) continue;
        const c = JSON.parse(line);
        if (c.connect && state.token && c.connect.token !== state.token) {
          if (c.connect.token) socket.close(3500, "the token's signature does not fit");
          else send({ id: c.id, error: { code: 101, message: 'a token is needed' } });
        } else if (c.connect) send({ id: c.id, connect: { client: 'mock-' + c.id, version: 'mock', ping: 25, pong: true } });
        else if (c.subscribe) subscribe(c.id, c.subscribe);
        else if (c.unsubscribe) {
          subscriptions.get(c.unsubscribe.channel)?.();
          subscriptions.delete(c.unsubscribe.channel);
          send({ id: c.id, unsubscribe: {} });
        } else if (c.id) send({ id: c.id, error: { code: 104, message: 'method not found' } });
      }
    });
    socket.on('close', () => {
      clearInterval(pinger);
      for (const stop of subscriptions.values()) stop();
    });
  });
  await new Promise((done) => server.listen(port, '127.0.0.1', done));
  return {
    url: `http://127.0.0.1:${server.address().port}`,
    tables, state,
    dropSockets: () => { for (const socket of sockets.clients) socket.terminate(); },
    stop: () => new Promise((done) => {
      timers.forEach(clearInterval);
      for (const socket of sockets.clients) socket.terminate();
      server.close(done);
      server.closeAllConnections?.();
    }),
  };
}

if (process.argv[1] && resolve(process.argv[1]) === fileURLToPath(import.meta.url)) {
  const option = (name, otherwise) => {
    const at = process.argv.indexOf('--' + name);
    return at < 0 ? otherwise : process.argv[at + 1];
  };
  const dist = resolve(option('dist', join(here, '../dist')));
  if (!process.argv.includes('--dist')) await bundle(dist);
  if (process.argv.includes('--watch')) {
    let timer;
    watch(join(here, '../src'), { recursive: process.platform !== 'linux' }, () => {
      clearTimeout(timer);
      timer = setTimeout(() => bundle(dist).then(() => console.log('bundled'), (error) => console.error(error.message)), 100);
    });
  }
  const mock = await startMock({ port: Number(option('port', 8090)), dist, rows: Number(option('rows', 0)), page: Number(option('page', 200)), frozen: process.argv.includes('--frozen') });
  console.log(JSON.stringify({ url: mock.url }));
  for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => mock.stop().then(() => process.exit(0)));
}
