// Rows as the page keeps them, and what can be read off them. Nothing here knows the browser.
import { caption, cell, unitOf, type Unit } from './format';

export type Flat = Record<string, unknown>;

const maxDepth = 3;
const maxColumns = 60;

// {"a":{"b":1}} is {"a.b":1}; lists stay as they are.
export function flatten(data: unknown): Flat {
  const flat: Flat = {};
  const walk = (value: object, prefix: string, depth: number) => {
    for (const [name, inner] of Object.entries(value)) {
      const path = prefix + name;
      if (inner !== null && typeof inner === 'object' && !Array.isArray(inner) && depth < maxDepth) walk(inner, `${path}.`, depth + 1);
      else flat[path] = inner;
    }
  };
  if (data !== null && typeof data === 'object' && !Array.isArray(data)) walk(data, '', 1);
  else flat['value'] = data;
  return flat;
}

export interface Column {
  name: string;
  unit: Unit;
  numeric: boolean;
  decimals: number;
  width: number; // characters of the widest value seen
}

export interface Row {
  key: string;
  data: Flat;
  lower: string; // for the filter; made when first asked for
}

export class Columns {
  readonly byName = new Map<string, Column>();
  left = 0; // columns beyond the bound

  note(data: Flat): boolean {
    let grown = false;
    for (const name in data) {
      const value = data[name];
      let column = this.byName.get(name);
      if (!column) {
        if (this.byName.size >= maxColumns) {
          this.left++;
          continue;
        }
        column = { name, unit: unitOf(name, value), numeric: typeof value === 'number', decimals: 0, width: name.length + 2 };
        this.byName.set(name, column);
        grown = true;
      }
      if (value === null || value === undefined) continue;
      if (typeof value === 'number') {
        column.numeric = true;
        if (column.decimals < 2 && !Number.isInteger(value)) {
          column.decimals = Number.isInteger(Math.round(value * 1e6) / 1e5) ? Math.max(1, column.decimals) : 2;
          grown = true;
        }
      } else column.numeric = false;
      const width = cell(value, column.unit, column.decimals).length;
      if (width > column.width) {
        column.width = width;
        grown = true;
      }
    }
    return grown;
  }
}

const natural = new Intl.Collator('en', { numeric: true, sensitivity: 'base' });

// Numbers before texts, nothing last, whichever way round.
export function compare(a: unknown, b: unknown, descending: boolean): number {
  const none = (v: unknown) => v === null || v === undefined;
  if (none(a) || none(b)) return none(a) && none(b) ? 0 : none(a) ? 1 : -1;
  if (typeof a === 'number' && typeof b === 'number') return descending ? b - a : a - b;
  if (typeof a === 'number' || typeof b === 'number') return typeof a === 'number' ? -1 : 1;
  const order = natural.compare(text(a), text(b));
  return descending ? -order : order;
}

const text = (value: unknown) => (typeof value === 'string' ? value : JSON.stringify(value));

export interface Sorting {
  column: string | null; // null: by key
  descending: boolean;
}

// Every word has to be somewhere in the row.
export function select(rows: Iterable<Row>, filter: string, sorting: Sorting): Row[] {
  const words = filter.toLowerCase().split(/\s+/).filter(Boolean);
  const chosen: Row[] = [];
  for (const row of rows) {
    if (words.length) {
      row.lower ||= `${row.key} ${Object.values(row.data).map((v) => (v === null ? '' : text(v))).join(' ')}`.toLowerCase();
      if (!words.every((word) => row.lower.includes(word))) continue;
    }
    chosen.push(row);
  }
  const { column, descending } = sorting;
  return chosen.sort((a, b) => (column === null ? 0 : compare(a.data[column], b.data[column], descending)) || (column === null && descending ? -1 : 1) * natural.compare(a.key, b.key));
}

// Which rows of `count` are drawn: what the window of `height` shows, and some beyond its edges.
export function visible(count: number, rowHeight: number, scrolled: number, height: number, beyond = 8): { from: number; to: number } {
  const from = Math.min(count, Math.max(0, Math.floor(scrolled / rowHeight) - beyond));
  const to = Math.min(count, Math.ceil((scrolled + height) / rowHeight) + beyond);
  return { from, to };
}

// A bounded number of updates a second over the last seconds.
export class Rate {
  private total = 0;
  private seen = 0;
  private smooth = 0;
  add(n = 1): void {
    this.total += n;
  }
  // Once a second.
  tick(): void {
    const now = this.total - this.seen;
    this.seen = this.total;
    this.smooth = this.smooth === 0 ? now : this.smooth * 0.6 + now * 0.4;
    if (this.smooth < 0.05) this.smooth = 0;
  }
  get perSecond(): number {
    return this.smooth;
  }
}

// ---- charts: what is worth drawing ----

export interface ChartSpec {
  table: string;
  title: string;
  keys: string[] | null; // null: all rows that have the fields of `shape`
  shape: string | null;
  fields: string[];
}

export const numericFields = (data: Flat): string[] =>
  Object.keys(data).filter((name) => typeof data[name] === 'number' && !['time', 'id'].includes(unitOf(name, data[name]))).sort();

export const shapeOf = (data: Flat): string => numericFields(data).join(' ');

// How telling a field is likely to be, by its name.
const liked: [RegExp, number][] = [
  [/bytes|(^|_)(mb|mib)$/, 65],
  [/busy|usage|utili[sz]ation|percent|pct|(^|[._])(cpu|temp)/, 60],
  [/(per_s(ec|econd)?|rate|latency|lag|_ms|load)$/, 50],
];

function liking(field: string): number {
  let score = 20;
  for (const [pattern, points] of liked) if (pattern.test(field)) score = Math.max(score, points);
  if (/(^|[._])used/.test(field)) score += 3;
  if (/(^|_)(avg|mean|max|min|p\d\d|first|last)$/.test(field)) score -= 25;
  if (/(^|_)(n|count|records|total|threads|swap)(_|$)/.test(field)) score -= 30;
  return score;
}

// Charts for a table nobody chose any for: rows of the same shape go together, each group with its most telling field.
export function suggest(table: string, kind: string, rows: Iterable<Row>): { spec: ChartSpec; score: number }[] {
  const groups = new Map<string, Row[]>();
  for (const row of rows) {
    const shape = shapeOf(row.data);
    if (shape === '') continue;
    const group = groups.get(shape);
    if (group) group.push(row);
    else groups.set(shape, [row]);
  }
  const found: { spec: ChartSpec; score: number }[] = [];
  for (const [shape, group] of groups) {
    const sample = group[0];
    if (!sample) continue;
    // A field that is zero everywhere says nothing.
    const telling = (field: string) => liking(field) - (group.every((row) => row.data[field] === 0) ? 30 : 0);
    const fields = shape.split(' ').sort((a, b) => telling(b) - telling(a));
    const best = fields[0];
    if (!best) continue;
    const unit = unitOf(best, sample.data[best]);
    // Few rows leave room for the fields that share the best one's unit.
    const mates = unit === 'plain' ? [best] : fields.filter((f) => unitOf(f, sample.data[f]) === unit && !/total|swap/.test(f));
    const together = mates.slice(0, Math.max(1, Math.min(2, Math.floor(maxSeries / group.length))));
    const what = typeof sample.data['kind'] === 'string' ? sample.data['kind'] : group.length === 1 ? sample.key : table;
    // Several rows of one shape, as cores, are what a chart is for; rows by process come and go, lines of them say little.
    const score = telling(best) + (group.length > 1 && unit === 'plain' ? 15 : 0) + (kind === 'latest' ? 20 : 0) - ('pid' in sample.data ? 60 : 0) - (group.length > 64 ? 20 : 0);
    found.push({ score, spec: { table, title: what, keys: null, shape, fields: together.length ? together : [best] } });
  }
  return found.sort((a, b) => b.score - a.score);
}

export const maxSeries = 8;

export interface Series {
  id: string;
  label: string;
  value: (rows: Map<string, Row>) => number | null;
}

// One line per row and field; where that would be too many to tell apart, highest, mean and lowest.
export function seriesOf(spec: ChartSpec, rows: Map<string, Row>): Series[] {
  const keys = (spec.keys ?? [...rows.values()].filter((row) => shapeOf(row.data) === spec.shape).map((row) => row.key)).sort(natural.compare);
  const read = (row: Row | undefined, field: string) => (row && typeof row.data[field] === 'number' ? (row.data[field] as number) : null);
  if (keys.length * spec.fields.length <= maxSeries) {
    return keys.flatMap((key) => spec.fields.map((field) => ({
      id: JSON.stringify([key, field]),
      label: spec.fields.length === 1 ? key : keys.length === 1 ? caption(field) : `${key} ${caption(field)}`,
      value: (now: Map<string, Row>) => read(now.get(key), field),
    })));
  }
  const field = spec.fields[0] ?? '';
  const over = (fold: (values: number[]) => number) => (now: Map<string, Row>) => {
    const values: number[] = [];
    if (spec.keys) for (const key of spec.keys) push(values, read(now.get(key), field));
    else for (const row of now.values()) if (shapeOf(row.data) === spec.shape) push(values, read(row, field));
    return values.length ? fold(values) : null;
  };
  return [
    { id: 'highest', label: 'highest', value: over((v) => v.reduce((a, b) => Math.max(a, b))) },
    { id: 'mean', label: `mean of ${keys.length}`, value: over((v) => v.reduce((a, b) => a + b) / v.length) },
    { id: 'lowest', label: 'lowest', value: over((v) => v.reduce((a, b) => Math.min(a, b))) },
  ];
}

function push(values: number[], value: number | null): void {
  if (value !== null) values.push(value);
}

// Samples of a chart's past, out of a log of the same records: entries of the chart's shape, told apart by the field that holds the
// row's key. Nothing where the log holds other things.
export function past(spec: ChartSpec, rows: Map<string, Row>, entries: { time: number; value: unknown }[], from: number, to: number, every: number): { times: number[]; values: Map<string, (number | null)[]> } | null {
  const flat = entries.filter((entry) => entry.time >= from && entry.time < to).map((entry) => ({ time: entry.time, data: flatten(entry.value) }))
    .filter((entry) => (spec.shape === null ? spec.fields.every((field) => typeof entry.data[field] === 'number') : shapeOf(entry.data) === spec.shape))
    .sort((a, b) => a.time - b.time);
  const sample = flat[0];
  if (!sample) return null;
  const keyed = Object.keys(sample.data).find((name) => rows.has(String(sample.data[name])));
  if (keyed === undefined) return null;
  const lines = seriesOf(spec, rows);
  const then = new Map<string, Row>();
  const times: number[] = [];
  const values = new Map<string, (number | null)[]>();
  let next = 0;
  for (let at = sample.time + every; at < to; at += every) {
    for (let entry = flat[next]; entry && entry.time <= at; entry = flat[++next]) {
      const key = String(entry.data[keyed]);
      if (rows.has(key)) then.set(key, { key, data: entry.data, lower: '' });
    }
    for (const series of lines) {
      const list = values.get(series.id);
      if (list) list.push(series.value(then));
      else values.set(series.id, [series.value(then)]);
    }
    times.push(at);
  }
  return times.length ? { times, values } : null;
}
