import assert from 'node:assert/strict';
import { test } from 'node:test';
import { source } from './source.mjs';

const m = await source('model');
const f = await source('format');
const rowsOf = (object) => new Map(Object.entries(object).map(([key, data]) => [key, { key, data: m.flatten(data), lower: '' }]));
const keys = (rows) => rows.map((row) => row.key);

test('nested objects become dotted columns and lists stay whole', () => {
  assert.deepEqual(m.flatten({ a: 1, b: { c: { d: 2 } }, l: [1, { x: 1 }] }), { a: 1, 'b.c.d': 2, l: [1, { x: 1 }] });
  assert.deepEqual(m.flatten(7), { value: 7 });
});

test('the number of columns is bounded', () => {
  const columns = new m.Columns();
  columns.note(Object.fromEntries(Array.from({ length: 500 }, (_, i) => [`f${i}`, i])));
  assert.equal(columns.byName.size, 60);
  assert.equal(columns.left, 440);
});

test('missing values sort last in both directions', () => {
  const rows = rowsOf({ a: { n: 2 }, b: {}, c: { n: 10 }, d: { n: null } });
  assert.deepEqual(keys(m.select(rows.values(), '', { column: 'n', descending: false })), ['a', 'c', 'b', 'd']);
  assert.deepEqual(keys(m.select(rows.values(), '', { column: 'n', descending: true })), ['c', 'a', 'b', 'd']);
});

test('keys with numbers sort as people count', () => {
  const rows = rowsOf({ cpu10: {}, cpu2: {}, cpu1: {} });
  assert.deepEqual(keys(m.select(rows.values(), '', { column: null, descending: false })), ['cpu1', 'cpu2', 'cpu10']);
  assert.deepEqual(keys(m.select(rows.values(), '', { column: null, descending: true })), ['cpu10', 'cpu2', 'cpu1']);
});

test('a filter needs all its words, in key or values, whatever their case', () => {
  const rows = rowsOf({ one: { site: 'North', n: 1 }, two: { site: 'north', n: 2 } });
  assert.deepEqual(keys(m.select(rows.values(), 'NORTH two', { column: null, descending: false })), ['two']);
  assert.deepEqual(keys(m.select(rows.values(), 'south', { column: null, descending: false })), []);
});

test('only the rows in the window are drawn, wherever it stands', () => {
  for (const count of [0, 1, 30, 5000]) {
    for (const scrolled of [0, 100, 5000 * 34, 1e9]) {
      const { from, to } = m.visible(count, 34, scrolled, 600);
      assert.ok(from >= 0 && from <= to && to <= count && to - from <= 36, `${count} ${scrolled}: ${from}-${to}`);
    }
  }
  assert.deepEqual(m.visible(5000, 34, 34 * 100, 340, 0), { from: 100, to: 110 });
});

test('the demo gets charts of its cores, memory, disk and network', () => {
  const machine = rowsOf({
    cpu0: { kind: 'cpu', name: 'cpu0', busy: 1, user: 1, system: 0, ts: 1.7e12 }, cpu1: { kind: 'cpu', name: 'cpu1', busy: 2, user: 1, system: 1, ts: 1.7e12 },
    memory: { kind: 'memory', name: 'memory', busy: 31, total_mb: 9, used_mb: 3, available_mb: 6, swap_used_mb: 0, ts: 1.7e12 },
    'disk:a': { kind: 'disk', name: 'a', busy: 3, read_bytes_s: 1, write_bytes_s: 2, ts: 1.7e12 },
    'net:e': { kind: 'net', name: 'e', busy: 0, in_bytes_s: 1, out_bytes_s: 2, ts: 1.7e12 },
  });
  const found = m.suggest('metrics', 'latest', machine.values());
  assert.deepEqual(found.map(({ spec }) => [spec.title, ...spec.fields]), [
    ['cpu', 'busy'], ['memory', 'used_mb', 'available_mb'], ['disk', 'read_bytes_s', 'write_bytes_s'], ['net', 'in_bytes_s', 'out_bytes_s']]);
  const processes = m.suggest('processes', 'latest', rowsOf({ 1: { pid: 1, cpu: 3, rss_mb: 3 } }).values());
  assert.ok(processes[0].score < found[3].score);
});

test('more rows than lines can be told apart become highest, mean and lowest', () => {
  const rows = rowsOf(Object.fromEntries(Array.from({ length: 20 }, (_, i) => [`cpu${i}`, { busy: i }])));
  const series = m.seriesOf({ table: 't', title: 't', keys: null, shape: 'busy', fields: ['busy'] }, rows);
  assert.deepEqual(series.map((s) => s.value(rows)), [19, 9.5, 0]);
});

test('a removed row leaves a gap in its line', () => {
  const rows = rowsOf({ a: { busy: 1 }, b: { busy: 2 } });
  const [a] = m.seriesOf({ table: 't', title: 't', keys: ['a'], shape: null, fields: ['busy'] }, rows);
  assert.equal(a.value(rows), 1);
  rows.delete('a');
  assert.equal(a.value(rows), null);
});

test("a log of the same records gives a chart its past, another log gives none", () => {
  const rows = rowsOf({ cpu0: { name: 'cpu0', busy: 5 }, cpu1: { name: 'cpu1', busy: 6 } });
  const spec = { table: 'metrics', title: 'cpu', keys: null, shape: 'busy', fields: ['busy'] };
  const entries = [{ time: 1000, value: { name: 'cpu0', busy: 1 } }, { time: 1000, value: { name: 'cpu1', busy: 2 } }, { time: 1600, value: { name: 'cpu0', busy: 3 } }, { time: 1700, value: { name: 'gone', busy: 9 } }];
  const past = m.past(spec, rows, entries, 0, 2600, 500);
  assert.deepEqual(past.times, [1500, 2000, 2500]);
  assert.deepEqual([...past.values.values()], [[1, 3, 3], [2, 2, 2]]);
  assert.equal(m.past(spec, rows, [{ time: 1000, value: { name: 'cpu0', load: 1 } }], 0, 2600, 500), null);
  assert.equal(m.past(spec, rows, [{ time: 1000, value: { name: 'other', busy: 1 } }], 0, 2600, 500), null);
});

test('units come from the names of fields', () => {
  const unit = (name, value) => f.unitOf(name, value);
  assert.deepEqual([unit('rss_bytes'), unit('in_bytes_s'), unit('used_mb'), unit('sensors.cpu_percent'), unit('took_ms'), unit('pid'), unit('busy')], ['bytes', 'bytes/s', 'mib', 'percent', 'ms', 'id', 'plain']);
  assert.equal(unit('ts', 1.79e12), 'time');
  assert.equal(unit('ts', 12), 'plain');
});

test('values keep what matters of them', () => {
  assert.equal(f.bytes(1536), '1.50 KiB');
  assert.equal(f.number(12345678, 'plain', 0), '12,345,678');
  assert.equal(f.number(0.0001234, 'plain', 2), '0.00012');
  assert.equal(f.cell(null, 'plain', 0), '–');
  assert.equal(f.cell({ a: [1] }, 'plain', 0), '{"a":[1]}');
  assert.equal(f.caption('read_bytes_s'), 'read');
  assert.equal(f.caption('mb'), 'mb');
});

test('freshness is said only where it is known', () => {
  assert.equal(f.freshness({ age: null, conflated: 0 }), '');
  assert.equal(f.freshness({ age: 119.6, conflated: 0 }), ' · 120 ms old');
  assert.equal(f.freshness({ age: 1500, conflated: 12345 }), ' · 1.5 s old · 12.3 k conflated');
});
