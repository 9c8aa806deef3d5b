import assert from 'node:assert/strict';
import { test } from 'node:test';
import { connect, FakeCentrifuge, frame, listen, world } from './fake.mjs';

const quiet = { sdk: FakeCentrifuge, WebSocket: class {} };

test('an address becomes that of the WebSocket', () => {
  const at = (url) => connect(url, quiet).url;
  assert.equal(at('http://node:8080'), 'ws://node:8080/connection/websocket');
  assert.equal(at('https://node/'), 'wss://node/connection/websocket');
  assert.equal(at(new URL('ws://node/other')), 'ws://node/other');
  for (const bad of ['node', 'ftp://node', undefined]) assert.throws(() => connect(bad, quiet), { code: 'bad_url' });
});

test('without a WebSocket the error says where to get one', () => {
  const kept = Object.getOwnPropertyDescriptor(globalThis, 'WebSocket');
  delete globalThis.WebSocket;
  try {
    assert.throws(() => connect('http://node', { sdk: FakeCentrifuge }), { code: 'no_websocket', message: /'ws'/ });
  } finally {
    if (kept) Object.defineProperty(globalThis, 'WebSocket', kept);
  }
});

test('equal calls share one subscription, which ends with the last close', async () => {
  const { weir, sub } = await world();
  const a = weir.table('orders', { where: { '/n': 1 } });
  const b = weir.table('orders', { where: { '/n': 1 } });
  assert.equal(a, b);
  a.close();
  assert.equal(sub('orders').state, 'subscribing');
  b.close();
  assert.deepEqual([a.state, sub('orders')], ['closed', undefined]);
  assert.notEqual(weir.table('orders', { where: { '/n': 1 } }), a);
});

test('another view of the same table takes another connection, and gives it back', async () => {
  const { weir, clients, sub } = await world();
  const all = weir.table('orders');
  const some = weir.table('orders', { where: { '/n': 1 } });
  assert.deepEqual([clients.length, sub('orders', 1).options.data], [2, { where: { '/n': 1 } }]);
  weir.table('other');
  assert.deepEqual([...clients[0].subs.keys()], ['orders', 'other']);
  some.close();
  assert.equal(clients[1].state, 'disconnected');
  assert.notEqual(clients[0].state, 'disconnected');
  assert.equal(all.state, 'loading');
});

test('the number of connections is bounded', async () => {
  const { weir } = await world();
  for (let n = 0; n < 16; n++) weir.table('orders', { where: { '/n': n } });
  assert.throws(() => weir.table('orders', { where: { '/n': 16 } }), { code: 'too_many_views' });
});

test('who returns within the linger finds the table as it was', async () => {
  const { weir, sub } = await world({ linger: 50 });
  const t = weir.table('orders');
  sub('orders').sync({ a: 1 });
  await frame();
  t.close();
  t.close(); // once too often: nobody else's
  assert.equal(weir.table('orders'), t);
  assert.equal(t.size, 1);
  weir.close();
  assert.equal(t.state, 'closed');
});

test('state and error of the connection are told', async () => {
  const { weir, clients } = await world();
  const told = [];
  weir.subscribe(({ state, error }) => told.push([state, error?.code]));
  clients[0].emit('connected');
  clients[0].emit('connecting', { code: 1, reason: 'transport closed' });
  clients[0].emit('error', { error: { code: 2, message: 'transport closed' } });
  clients[0].emit('connected');
  assert.deepEqual(told, [['connected', undefined], ['connecting', 1], ['connecting', 2], ['connected', undefined]]);
});

test('a final close by the node fails every table and says why', async () => {
  const { weir, clients } = await world();
  const t = weir.table('orders');
  const log = weir.log('hot');
  clients[0].emit('disconnected', { code: 3500, reason: 'invalid token' });
  await assert.rejects(t.ready, { code: 3500 });
  await assert.rejects(log.ready, { code: 3500 });
  assert.deepEqual([weir.state, weir.error.message, t.state], ['disconnected', 'invalid token', 'failed']);
  assert.throws(() => weir.table('x'), { code: 'closed', message: /3500 invalid token/ });
});

test('close ends everything, and what was there stays readable', async () => {
  const { weir, clients, sub } = await world();
  const t = weir.table('orders');
  const heard = listen(t);
  sub('orders').sync({ a: 1 });
  weir.close();
  weir.close();
  await frame();
  assert.deepEqual([[...t], t.stale, t.state, heard.length], [[['a', 1]], true, 'closed', 0]);
  assert.deepEqual([clients[0].state, clients[0].subs.size, weir.state], ['disconnected', 0, 'disconnected']);
});

test('tokens and further options reach the SDK', async () => {
  const { clients } = await world({ token: 't', getToken: async () => 'u', sdkOptions: { timeout: 1000 }, name: 'mine' });
  const { token, getToken, timeout, name, maxReconnectDelay } = clients[0].options;
  assert.deepEqual([token, await getToken({}), timeout, name, maxReconnectDelay], ['t', 'u', 1000, 'mine', 10000]);
});
