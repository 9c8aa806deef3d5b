import assert from 'node:assert/strict';
import { test } from 'node:test';
import { frame, listen, world } from './fake.mjs';

const entry = (p, o, data = `${p}:${o}`) => ({ data, tags: { p: String(p), o: String(o) } });
const data = (log) => [...log].map((e) => e.data);

test('a log is what was there before, then what comes, nothing twice', async () => {
  const { weir, sub } = await world();
  const log = weir.log('hot', { limit: 10, history: 3 });
  const s = sub('hot');
  let answer;
  s.histories = [new Promise((done) => (answer = done))];
  s.live();
  s.emit('publication', entry(0, 7));
  s.emit('publication', entry(1, 1));
  s.emit('publication', entry(0, 8));
  answer([entry(0, 7), entry(0, 6), entry(0, 5)]); // newest first
  await log.ready;
  assert.deepEqual(s.asked, { limit: 3, reverse: true });
  assert.deepEqual(data(log), ['0:5', '0:6', '0:7', '1:1', '0:8']);
  s.emit('publication', entry(0, 8));
  s.emit('publication', entry(0, 9));
  await frame();
  assert.deepEqual(data(log), ['0:5', '0:6', '0:7', '1:1', '0:8', '0:9']);
  assert.deepEqual(log.at(-1), { data: '0:9', partition: 0, offset: 9, time: undefined });
});

test('the list is bounded, the oldest go first', async () => {
  const { weir, sub } = await world();
  const log = weir.log('hot', { limit: 3, history: 0 });
  sub('hot').live();
  await frame();
  const heard = listen(log);
  for (let o = 0; o < 10; o++) sub('hot').emit('publication', entry(0, o));
  await frame();
  assert.deepEqual(data(log), ['0:7', '0:8', '0:9']);
  assert.equal(heard[0].added.length, 3, 'what would be dropped at once is not told either');
  assert.equal(sub('hot').asked, undefined, 'no history was wanted');
});

test('a recovered position goes on; a lost one is a gap, and the list is made anew', async () => {
  const { weir, sub } = await world();
  const log = weir.log('hot');
  const s = sub('hot');
  s.histories = [[entry(0, 1)], [entry(0, 91), entry(0, 90)]];
  s.live();
  await log.ready;
  const heard = listen(log);
  s.emit('subscribing', { code: 1, reason: 'transport closed' });
  await frame();
  assert.equal(log.stale, true);
  s.live({ wasRecovering: true, recovered: true });
  s.emit('publication', entry(0, 2));
  await frame();
  assert.deepEqual([data(log), log.stale], [['0:1', '0:2'], false]);
  s.live({ wasRecovering: true, recovered: false });
  await frame();
  assert.deepEqual(data(log), ['0:90', '0:91']);
  assert.deepEqual(heard.map((batch) => [batch.reset, batch.gap]).at(-1), [true, true]);
});

test('a node without history gives what comes from now on', async () => {
  const { weir, sub } = await world();
  const log = weir.log('hot');
  sub('hot').histories = [Object.assign(new Error('method not found'), { code: 104 })];
  sub('hot').live();
  await log.ready;
  assert.deepEqual([log.size, log.state, log.error], [0, 'live', undefined]);
});

test('history that failed is told, and asked for again with the next subscribe', async () => {
  const { weir, sub } = await world();
  const log = weir.log('hot');
  const s = sub('hot');
  s.histories = [Object.assign(new Error('not now'), { code: 100 }), [entry(0, 2), entry(0, 1)]];
  s.live();
  s.emit('publication', entry(0, 2));
  await log.ready;
  assert.deepEqual([data(log), log.error.code], [['0:2'], 100]);
  s.live({ wasRecovering: true, recovered: true });
  await frame();
  assert.deepEqual([data(log), log.error], [['0:1', '0:2'], undefined]);
});

test('an application that closes while history is asked for hears nothing more', async () => {
  const { weir, sub } = await world();
  const log = weir.log('hot');
  const heard = listen(log);
  sub('hot').histories = [[entry(0, 1)]];
  sub('hot').live();
  log.close();
  await assert.rejects(log.ready, { code: 'closed' });
  await frame();
  assert.deepEqual([heard.length, log.state], [0, 'closed']);
});
