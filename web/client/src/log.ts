// A table of kind log: a bounded list of its newest entries.
import { Live, whole, type Subscription, type Tags } from './live.js';
import { WeirError, type AnyRow, type LogBatch, type LogEntry } from './types.js';

export interface LogSnapshot<Row> {
  readonly entries: readonly LogEntry<Row>[];
  readonly stale: boolean;
  readonly error: WeirError | undefined;
  readonly freshness: number | undefined;
  readonly conflated: number;
}

interface Publication {
  data: unknown;
  tags?: Tags;
}

const noHistory = [104, 108]; // a node without the command, or a log that offers none

/** The newest entries, oldest first. Each partition's are in the order of Kafka, and none comes twice. */
export class Log<Row = AnyRow> extends Live<LogBatch<Row>, LogSnapshot<Row>> {
  private list: LogEntry<Row>[] = [];
  private pending: LogEntry<Row>[] = [];
  private reset = false;
  private gap = false;
  // The last offset taken of each partition: the node sends at least once.
  private seen = new Map<number, number>();
  // Entries that came while the ones before them are being asked for; null: not asking.
  private early: Publication[] | null = null;
  private loaded = false;
  private asked = 0;

  /** @internal */
  constructor(
    name: string,
    release: () => void,
    private readonly limit: number,
    private readonly past: number,
  ) {
    super(name, release);
  }

  get size(): number {
    return this.list.length;
  }
  /** Negative: from the end. */
  at(index: number): LogEntry<Row> | undefined {
    return this.list.at(index);
  }
  [Symbol.iterator](): IterableIterator<LogEntry<Row>> {
    return this.list.values();
  }

  protected follow(sub: Subscription): void {
    sub.on('subscribed', ({ wasRecovering, recovered }: { wasRecovering: boolean; recovered: boolean }) => {
      const lost = this.loaded && wasRecovering && !recovered;
      if (lost) this.gap = true;
      if (this.loaded && !lost) this.live();
      else void this.load(sub);
    });
    sub.on('publication', (publication: Publication) => {
      if (!this.early) this.add(publication);
      else if (this.early.push(publication) > this.limit) this.early.shift();
    });
  }

  // What was there before, then what came meanwhile: known by partition and offset, so nothing twice.
  private async load(sub: Subscription): Promise<void> {
    const turn = ++this.asked;
    this.early = [];
    let before: Publication[] = [];
    let trouble: WeirError | undefined;
    try {
      if (this.past > 0) before = (await sub.history?.({ limit: this.past, reverse: true }))?.publications.reverse() ?? [];
    } catch (error) {
      const { code, message } = error as { code?: number; message?: string };
      if (!noHistory.includes(code ?? 0)) trouble = new WeirError(code ?? 'history', message ?? String(error));
    }
    if (turn !== this.asked || this.ended) return; // subscribed again meanwhile, or over
    const early: Publication[] = this.early ?? [];
    this.early = null;
    this.loaded = !trouble; // else asked again with the next subscribe
    this.reset = true;
    this.pending = [];
    this.seen = new Map();
    for (const publication of [...before, ...early]) this.add(publication);
    this.live();
    if (trouble) this.trouble(trouble);
  }

  protected apply(): LogBatch<Row> {
    const { pending: added, reset, gap } = this;
    this.list = reset ? added : this.list.concat(added);
    if (this.list.length > this.limit) this.list = this.list.slice(-this.limit);
    this.pending = [];
    this.reset = this.gap = false;
    return { added, reset, gap, conflated: this.left };
  }

  protected take(): LogSnapshot<Row> {
    return Object.freeze({ entries: Object.freeze([...this.list]), stale: this.stale, error: this.error, freshness: this.freshness, conflated: this.conflated });
  }

  private add({ data, tags }: Publication): void {
    if (this.ended) return;
    const partition = whole(tags?.p);
    const offset = whole(tags?.o);
    if (partition !== undefined && offset !== undefined) {
      if (offset <= (this.seen.get(partition) ?? -1)) return;
      this.seen.set(partition, offset);
    }
    if (this.pending.push({ data: data as Row, partition, offset, time: whole(tags?.t) }) > this.limit) this.pending.shift();
    this.note(tags);
    this.changed();
  }
}
