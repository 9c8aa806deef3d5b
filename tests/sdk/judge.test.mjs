// The judge itself: lawful histories pass, and each kind of unlawful one is blamed. node --test judge.test.mjs
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MapJudge, StreamJudge } from './judge.mjs';

const row = (key, i) => ({ key, data: { i } });
const mapAfter = (...steps) => {
  const judge = new MapJudge();
  for (const [what, event] of steps) judge[what](event);
  return judge.report();
};
const streamAfter = (...entries) => {
  const judge = new StreamJudge();
  for (const [p, o, data = {}] of entries) judge.publication({ data, tags: { p: String(p), o: String(o) } });
  return judge.report();
};

test('a map that only goes forward is lawful, and so are removals and repeats', () => {
  const seen = mapAfter(['sync', { entries: [row('a', 1), row('b', 5)] }], ['update', row('a', 2)], ['update', { key: 'a', removed: true }], ['update', row('a', 3)], ['sync', { entries: [row('a', 3), row('b', 5)] }]);
  assert.deepEqual(seen.problems, []);
  assert.equal(seen.repeats, 2);
});

test('a row that goes back is blamed, by an update, by a state, and behind a removal', () => {
  assert.equal(mapAfter(['update', row('a', 2)], ['update', row('a', 1)]).problems.length, 1);
  assert.equal(mapAfter(['update', row('a', 2)], ['sync', { entries: [row('a', 1)] }]).problems.length, 1);
  assert.equal(mapAfter(['update', row('a', 2)], ['update', { key: 'a', removed: true }], ['update', row('a', 1)]).problems.length, 1);
});

test('a key that comes twice in one state is blamed', () => {
  assert.equal(mapAfter(['sync', { entries: [row('a', 1), row('a', 1)] }]).problems.length, 1);
});

test('a row that cannot be judged is blamed, and does not blind the judge for its key', () => {
  const seen = mapAfter(['update', row('a', 2)], ['update', { key: 'a', data: {} }], ['update', row('a', 1)]);
  assert.equal(seen.problems.length, 2);
});

test('entries that are new and in order are lawful, whatever comes again', () => {
  assert.deepEqual(streamAfter([0, 1], [1, 7], [0, 2], [0, 1], [1, 7], [0, 3]).problems, []);
});

test('an entry out of order and one with another content are blamed', () => {
  assert.equal(streamAfter([0, 1], [0, 3], [0, 2]).problems.length, 1);
  assert.equal(streamAfter([0, 1, { x: 1 }], [0, 1, { x: 2 }]).problems.length, 1);
});
