// A table of kind latest or aggregate: an observable map.
import { Live, type Subscription, type Tags } from './live.js';
import { WeirError, type AnyRow, type Order, type TableBatch } from './types.js';

export interface TableSnapshot<Row> {
  readonly entries: readonly (readonly [string, Row])[];
  readonly stale: boolean;
  readonly error: WeirError | undefined;
  readonly freshness: number | undefined;
  readonly conflated: number;
}

interface Publication<Row> {
  key: string;
  data: Row;
  removed?: boolean;
  tags?: Tags;
}

/**
 * Rows by key, as of the last complete frame: between two notifications nothing changes. Rows are the objects that the
 * SDK parsed; whoever wants to change one copies it first.
 */
export class Table<Row = AnyRow> extends Live<TableBatch<Row>, TableSnapshot<Row>> implements ReadonlyMap<string, Row> {
  private rows = new Map<string, Row>();
  private sorted: readonly string[] | null = null;
  // What came since the last notification; undefined: removed.
  private pending = new Map<string, Row | undefined>();
  private reset = false;

  /** @internal */
  constructor(
    name: string,
    release: () => void,
    /** @internal */ readonly order: Order<Row>,
    private readonly maxRows: number,
  ) {
    super(name, release);
  }

  get size(): number {
    return this.rows.size;
  }
  get(key: string): Row | undefined {
    return this.rows.get(key);
  }
  has(key: string): boolean {
    return this.rows.has(key);
  }
  *keys(): MapIterator<string> {
    for (const [key] of this.entries()) yield key;
  }
  *values(): MapIterator<Row> {
    for (const [, row] of this.entries()) yield row;
  }
  *entries(): MapIterator<[string, Row]> {
    for (const key of this.keysInOrder()) if (this.rows.has(key)) yield [key, this.rows.get(key) as Row];
  }
  [Symbol.iterator](): MapIterator<[string, Row]> {
    return this.entries();
  }
  forEach(visit: (row: Row, key: string, table: ReadonlyMap<string, Row>) => void): void {
    for (const [key, row] of this.entries()) visit(row, key, this);
  }

  protected follow(sub: Subscription): void {
    sub.on('subscribed', ({ recovered }: { recovered: boolean }) => {
      if (recovered) this.live(); // else `sync` follows
    });
    sub.on('sync', ({ entries }: { entries: Publication<Row>[] }) => {
      this.pending = new Map();
      this.reset = true;
      for (const entry of entries) this.put(entry);
      this.live();
    });
    sub.on('update', (publication: Publication<Row>) => {
      this.put(publication);
      this.changed();
    });
  }

  protected apply(): TableBatch<Row> {
    const { pending, reset } = this;
    const changed = new Map<string, Row>();
    const removed = new Set<string>();
    const before = this.rows.size;
    if (reset) {
      for (const key of this.rows.keys()) if (pending.get(key) === undefined) removed.add(key);
      this.rows = new Map();
    }
    for (const [key, row] of pending) {
      if (row === undefined) {
        if (this.rows.delete(key)) removed.add(key);
        continue;
      }
      if (this.order === 'arrival') this.rows.delete(key);
      this.rows.set(key, row);
      changed.set(key, row);
    }
    // A value that changed moves nothing where keys decide.
    if (typeof this.order === 'function' ? pending.size > 0 : reset || removed.size > 0 || this.rows.size !== before) this.sorted = null;
    this.pending = new Map();
    this.reset = false;
    if (this.rows.size > this.maxRows) this.fail(new WeirError('too_many_rows', `${this.name} has more than ${this.maxRows} rows: ask for fewer by 'where' or 'key', or raise 'maxRows'`));
    return { changed, removed, reset, conflated: this.left };
  }

  protected take(): TableSnapshot<Row> {
    return Object.freeze({ entries: Object.freeze([...this.entries()]), stale: this.stale, error: this.error, freshness: this.freshness, conflated: this.conflated });
  }

  private put({ key, data, removed, tags }: Publication<Row>): void {
    if (this.ended) return;
    this.pending.delete(key); // who changes again comes last
    this.pending.set(key, removed ? undefined : data);
    this.note(tags);
  }

  private keysInOrder(): Iterable<string> {
    const { order } = this;
    if (order === 'arrival') return this.rows.keys();
    this.sorted ??= typeof order === 'function' ? [...this.rows].sort(order).map(([key]) => key) : [...this.rows.keys()].sort();
    return this.sorted;
  }
}
