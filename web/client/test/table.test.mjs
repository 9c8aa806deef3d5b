import assert from 'node:assert/strict';
import { test } from 'node:test';
import { frame, listen, world } from './fake.mjs';

test('a table is its state, then its changes', async () => {
  const { weir, sub } = await world();
  const t = weir.table('orders');
  assert.equal(t.state, 'loading');
  sub('orders').sync({ b: { n: 2 }, a: { n: 1 } });
  await t.ready;
  assert.deepEqual([...t], [['a', { n: 1 }], ['b', { n: 2 }]]);
  sub('orders').emit('update', { key: 'c', data: { n: 3 } });
  sub('orders').emit('update', { key: 'a', data: {}, removed: true });
  await frame();
  assert.deepEqual([...t.keys()], ['b', 'c']);
  assert.deepEqual([t.size, t.has('a'), t.get('c')], [2, false, { n: 3 }]);
});

test('a frame is one notification with the newest value of each key', async () => {
  const { weir, sub } = await world();
  const t = weir.table('orders');
  const heard = listen(t);
  sub('orders').sync({ a: 1, b: 1 });
  await frame();
  for (const data of [2, 3]) sub('orders').emit('update', { key: 'a', data });
  await Promise.resolve(); // the SDK hands out the publications of a frame in microtasks
  sub('orders').emit('update', { key: 'b', data: {}, removed: true });
  assert.equal(t.get('a'), 1, 'nothing shows before the frame is complete');
  await frame();
  assert.equal(heard.length, 2);
  assert.deepEqual([[...heard[0].changed], heard[0].reset], [[['a', 1], ['b', 1]], true]);
  assert.deepEqual([[...heard[1].changed], [...heard[1].removed], heard[1].reset], [[['a', 3]], ['b'], false]);
});

test('a row that comes and goes within a frame is told as nothing', async () => {
  const { weir, sub } = await world();
  const t = weir.table('orders');
  sub('orders').sync({});
  await frame();
  const heard = listen(t);
  sub('orders').emit('update', { key: 'x', data: 1 });
  sub('orders').emit('update', { key: 'x', data: {}, removed: true });
  await frame();
  assert.deepEqual([heard[0].changed.size, heard[0].removed.size], [0, 0]);
});

test('a lost position is a reset that names what is gone', async () => {
  const { weir, sub } = await world();
  const t = weir.table('orders');
  sub('orders').sync({ a: 1, b: 1 });
  await frame();
  const heard = listen(t);
  sub('orders').emit('subscribing', { code: 1, reason: 'transport closed' });
  await frame();
  assert.deepEqual([t.state, t.stale, t.size], ['stale', true, 2], 'what was there stays to be seen');
  sub('orders').sync({ b: 2, c: 3 });
  await frame();
  assert.deepEqual([t.state, t.stale, t.error], ['live', false, undefined]);
  assert.deepEqual([...t], [['b', 2], ['c', 3]]);
  const last = heard.at(-1);
  assert.deepEqual([last.reset, [...last.removed], last.changed.size], [true, ['a'], 2]);
});

test('a recovered position keeps the rows and goes on', async () => {
  const { weir, sub } = await world();
  const t = weir.table('orders');
  sub('orders').sync({ a: 1, b: 1 });
  await frame();
  const heard = listen(t);
  sub('orders').emit('subscribing', { code: 1, reason: 'transport closed' });
  sub('orders').live({ recovered: true, wasRecovering: true });
  sub('orders').emit('update', { key: 'a', data: 2 });
  await frame();
  assert.deepEqual([...t], [['a', 2], ['b', 1]]);
  assert.equal(heard.some((batch) => batch.reset), false);
  assert.equal(t.stale, false);
});

test('iteration goes by key, by last change, or as the application says', async () => {
  const { weir, sub } = await world();
  const byKey = weir.table('t');
  const byArrival = weir.table('t', { order: 'arrival' });
  const byValue = weir.table('t', { order: (a, b) => b[1] - a[1] });
  for (const i of [0, 1, 2]) sub('t', i).sync({ b: 1, c: 2, a: 3 });
  await frame();
  const keys = () => [byKey, byArrival, byValue].map((t) => [...t.keys()].join(''));
  assert.deepEqual(keys(), ['abc', 'bca', 'acb']);
  for (const i of [0, 1, 2]) sub('t', i).emit('update', { key: 'b', data: 9 });
  await frame();
  assert.deepEqual(keys(), ['abc', 'cab', 'bac']);
});

test('a snapshot stays as it is, and is the same object until something changes', async () => {
  const { weir, sub } = await world();
  const t = weir.table('orders');
  sub('orders').sync({ a: 1 });
  await frame();
  const first = t.snapshot();
  assert.equal(t.snapshot(), first);
  sub('orders').emit('update', { key: 'b', data: 2 });
  await frame();
  assert.notEqual(t.snapshot(), first);
  assert.deepEqual([first.entries, t.snapshot().entries], [[['a', 1]], [['a', 1], ['b', 2]]]);
  assert.throws(() => first.entries.push(1), TypeError);
});

test('where, rate, tags, key and delta are asked of the node as it wants them', async () => {
  const { weir, sub } = await world();
  weir.table('orders', { where: { '/n': { gt: 1 } }, maxRate: '2/s', tags: true, delta: true });
  weir.table('orders', { key: 'x/1' });
  const { channel, options } = sub('orders');
  assert.deepEqual([channel, options.data, options.delta], ['orders', { where: { '/n': { gt: 1 } }, max_rate: '2/s', tags: true }, 'fossil']);
  assert.deepEqual([sub('orders/x/1').options.data, sub('orders/x/1').options.delta], [undefined, undefined]);
});

test('freshness and conflation are read from the tags', async () => {
  const { weir, sub } = await world();
  const t = weir.table('orders', { tags: true });
  sub('orders').sync({ a: 1 });
  await frame();
  assert.equal(t.freshness, undefined);
  const heard = listen(t);
  sub('orders').emit('update', { key: 'a', data: 2, tags: { t: '1000', age: '120' } });
  sub('orders').emit('update', { key: 'b', data: 2, tags: { t: '1010', age: '110', conflated: '7' } });
  await frame();
  sub('orders').emit('update', { key: 'b', data: 3, tags: { age: '5', conflated: '2' } });
  await frame();
  assert.deepEqual([t.freshness, t.conflated, heard.map((batch) => batch.conflated)], [5, 9, [7, 2]]);
});

test('an error that is tried again is told and passes; one that is final fails the table', async () => {
  const { weir, sub } = await world();
  const t = weir.table('orders');
  sub('orders').emit('error', { type: 'subscribe', error: { code: 100, message: 'not now' } });
  await frame();
  assert.deepEqual([t.state, t.error.code], ['loading', 100]);
  sub('orders').sync({ a: 1 });
  await frame();
  assert.equal(t.error, undefined);
  const u = weir.table('nothing');
  sub('nothing').emit('unsubscribed', { code: 102, reason: 'unknown channel' });
  await assert.rejects(u.ready, { name: 'WeirError', code: 102, message: 'unknown channel' });
  assert.deepEqual([u.state, u.error.code, sub('nothing')], ['failed', 102, undefined]);
  assert.notEqual(weir.table('nothing'), u, 'asked for again, it is tried again');
});

test('the number of rows is bounded, and beyond it the table fails and says what to do', async () => {
  const { weir, sub } = await world();
  const t = weir.table('orders', { maxRows: 2 });
  const s = sub('orders');
  s.sync({ a: 1, b: 2 });
  await t.ready;
  s.emit('update', { key: 'c', data: 3 });
  await frame();
  assert.equal(t.state, 'failed');
  assert.match(t.error.message, /more than 2 rows.*where.*maxRows/);
  assert.equal(sub('orders'), undefined);
  assert.throws(() => weir.table('x', { maxRows: 0 }), { code: 'bad_option' });
});

test('a listener that throws keeps nobody from hearing', async () => {
  const { weir, sub } = await world();
  const t = weir.table('orders');
  const others = process.listeners('unhandledRejection'); // the test runner's own
  process.removeAllListeners('unhandledRejection');
  const thrown = new Promise((done) => process.once('unhandledRejection', done));
  t.subscribe(() => {
    throw new Error('mine');
  });
  const heard = listen(t);
  sub('orders').sync({});
  assert.equal((await thrown).message, 'mine');
  for (const other of others) process.on('unhandledRejection', other);
  assert.equal(heard.length, 1);
});

test('a listener is heard no more once it said so', async () => {
  const { weir, sub } = await world();
  const t = weir.table('orders');
  let n = 0;
  const count = () => n++;
  const stop = t.subscribe(count);
  t.subscribe(count);
  stop();
  sub('orders').sync({});
  await frame();
  assert.equal(n, 1);
});
