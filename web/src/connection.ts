// One WebSocket for the whole page, and a store for every table that some view looks at.
import { Centrifuge } from 'centrifuge';
import { ask } from './api';
import { getToken, onToken, wanted } from './token';
import { Columns, flatten, Rate, type Flat, type Row } from './model';

export type LinkState = 'connecting' | 'reconnecting' | 'connected' | 'disconnected';

const logBound = 1000;
// More often nobody sees; what changes more often comes with its newest value.
const asked = { max_rate: '5/s', tags: true };

export interface Entry {
  seq: number; // counts up in this page
  at: number; // when it came
  data: Flat;
}

// Live content of one table. Views register for changes and draw once a frame.
export class Store {
  readonly rows = new Map<string, Row>();
  readonly entries: Entry[] = [];
  readonly columns = new Columns();
  readonly rate = new Rate();
  readonly views = new Set<() => void>();
  state = 'subscribing'; // subscribing, live, unsubscribed
  synced = false;
  version = 0; // counts every change
  message = '';
  age: number | null = null; // ms from the newest change's Kafka timestamp to its being sent
  conflated = 0; // changes that were left out because newer ones of the same rows came
  private seq = 0;

  constructor(readonly name: string, readonly kind: string) {}

  put(key: string, data: unknown): void {
    const flat = flatten(data);
    this.columns.note(flat);
    const row = this.rows.get(key);
    if (row) {
      row.data = flat;
      row.lower = '';
    } else this.rows.set(key, { key, data: flat, lower: '' });
    this.version++;
  }

  remove(key: string): void {
    if (this.rows.delete(key)) this.version++;
  }

  append(data: unknown, at: number): void {
    const flat = flatten(data);
    this.entries.push({ seq: ++this.seq, at, data: flat });
    if (this.entries.length > logBound * 1.2) this.entries.splice(0, this.entries.length - logBound);
    this.version++;
  }

  // Counts what came, and what came instead of it.
  note(tags: Record<string, string> | undefined): number {
    const age = Number(tags?.['age'] ?? NaN);
    if (Number.isFinite(age)) this.age = age;
    const left = Number(tags?.['conflated'] ?? 0) || 0;
    this.conflated += left;
    return 1 + left;
  }

  changed(): void {
    for (const view of this.views) view();
  }
}

interface Held {
  store: Store;
  users: number;
  close: () => void;
  timer?: ReturnType<typeof setTimeout>;
}

export class Connection {
  state: LinkState = 'connecting';
  since = Date.now();
  attempts = 0; // since the last time it was connected
  drops = 0;
  reason = '';
  client = '';
  readonly received = new Rate();
  readonly listeners = new Set<() => void>();
  private readonly client_: Centrifuge;
  private readonly held = new Map<string, Held>();
  private was = false;

  constructor(address: string) {
    this.client_ = new Centrifuge(address, { name: 'weir-dashboard', getToken, minReconnectDelay: 300, maxReconnectDelay: 8000 });
    this.client_.on('connecting', (ctx) => {
      if (this.state === 'connected') this.drops++;
      this.reason = ctx.reason;
      this.to(this.was ? 'reconnecting' : 'connecting');
    });
    this.client_.on('error', (ctx) => {
      this.attempts++;
      this.reason = ctx.error.message;
      this.tell();
    });
    this.client_.on('connected', (ctx) => {
      this.was = true;
      this.attempts = 0;
      this.client = ctx.client;
      this.reason = '';
      this.to('connected');
    });
    this.client_.on('disconnected', (ctx) => {
      this.reason = ctx.reason;
      if (ctx.code === 101 || ctx.code === 3500) wanted(ctx.reason);
      this.to('disconnected');
    });
    onToken((token) => {
      // As somebody else from now on: what was refused before may be permitted.
      this.client_.disconnect();
      this.client_.setToken(token);
      this.client_.connect();
    });
    setInterval(() => {
      this.received.tick();
      for (const { store } of this.held.values()) store.rate.tick();
    }, 1000);
  }

  connect(): void {
    this.client_.connect();
  }

  get stores(): Store[] {
    return [...this.held.values()].map((held) => held.store);
  }

  // Give it back with close(). The subscription outlives its last user by some seconds: who returns soon finds it warm.
  open(name: string, kind: string): Store {
    let held = this.held.get(name);
    if (held && held.store.kind !== kind) {
      held.close();
      this.held.delete(name);
      held = undefined;
    }
    if (!held) {
      const store = new Store(name, kind);
      held = { store, users: 0, close: kind === 'log' ? this.stream(store) : this.map(store) };
      this.held.set(name, held);
    }
    clearTimeout(held.timer);
    held.users++;
    return held.store;
  }

  close(store: Store): void {
    const held = this.held.get(store.name);
    if (!held || held.store !== store || --held.users > 0) return;
    held.timer = setTimeout(() => {
      held.close();
      this.held.delete(store.name);
    }, 8000);
  }

  private map(store: Store): () => void {
    const sub = this.client_.newMapSubscription(store.name, { data: asked });
    sub.on('sync', ({ entries }) => {
      const now = new Set<string>();
      for (const entry of entries) {
        now.add(entry.key);
        store.put(entry.key, entry.data);
      }
      for (const key of [...store.rows.keys()]) if (!now.has(key)) store.remove(key);
      store.synced = true;
      store.version++;
      store.changed();
    });
    sub.on('update', (ctx) => {
      if (ctx.removed) store.remove(ctx.key);
      else store.put(ctx.key, ctx.data);
      this.count(store, ctx.tags);
    });
    return this.follow(store, sub);
  }

  private stream(store: Store): () => void {
    const sub = this.client_.newSubscription(store.name, { recoverable: true, data: { tags: true } });
    let asked = false;
    let early: unknown[] | null = [];
    sub.on('publication', (ctx) => {
      if (early) {
        if (early.push(ctx.data) > logBound) early.shift();
      } else store.append(ctx.data, Date.now());
      this.count(store, ctx.tags);
    });
    sub.on('subscribed', (ctx) => {
      if (ctx.wasRecovering && !ctx.recovered) store.message = 'Some entries are missing: the log went on without this page for too long.';
      if (asked) return;
      asked = true;
      // What was there before, then what came meanwhile. The two may overlap by the entries of these milliseconds.
      void tail(store.name, 100).then((entries) => {
        const known = new Set(entries.map((entry) => JSON.stringify(entry.value)));
        for (const entry of entries) store.append(entry.value, entry.time);
        for (const data of early ?? []) if (!known.has(JSON.stringify(data))) store.append(data, Date.now());
        early = null;
        store.synced = true;
        store.changed();
      });
    });
    return this.follow(store, sub);
  }

  private follow(store: Store, sub: ReturnType<Centrifuge['newSubscription']> | ReturnType<Centrifuge['newMapSubscription']>): () => void {
    const stream = sub as ReturnType<Centrifuge['newSubscription']>;
    stream.on('subscribing', (ctx) => {
      store.state = 'subscribing';
      store.message = ctx.code > 1 ? ctx.reason : store.message;
      store.changed();
    });
    stream.on('subscribed', () => {
      store.state = 'live';
      store.changed();
      this.tell();
    });
    stream.on('unsubscribed', (ctx) => {
      store.state = 'unsubscribed';
      store.message = ctx.reason;
      store.changed();
      this.tell();
    });
    stream.on('error', (ctx) => {
      store.message = ctx.error.message;
      store.changed();
    });
    sub.subscribe();
    return () => {
      sub.unsubscribe();
      stream.removeAllListeners();
      this.client_.removeSubscription(stream);
    };
  }

  private count(store: Store, tags: Record<string, string> | undefined): void {
    const changes = store.note(tags);
    store.rate.add(changes);
    this.received.add(changes);
    store.changed();
  }

  private to(state: LinkState): void {
    if (this.state !== state) this.since = Date.now();
    this.state = state;
    this.tell();
  }

  private tell(): void {
    for (const listener of this.listeners) listener();
  }
}

export interface LogEntry {
  time: number;
  value: unknown;
}

// The newest entries of a log by REST, newest last.
export async function tail(name: string, limit: number): Promise<LogEntry[]> {
  try {
    const answer = await ask<{ entries?: LogEntry[] }>(`/api/v1/tables/${encodeURIComponent(name)}?limit=${limit}`);
    return answer.entries ?? [];
  } catch {
    return []; // The live part comes all the same.
  }
}
