// One connection of an application: tables and logs over the SDK's client.
import { Centrifuge, type Options } from 'centrifuge';
import { tell, type Live, type Subscription } from './live.js';
import { Log } from './log.js';
import { Table } from './table.js';
import { WeirError, type AnyRow, type Asked, type ConnectOptions, type LogOptions, type TableOptions } from './types.js';

export type LinkState = 'connecting' | 'connected' | 'disconnected';

// A client of the SDK has one subscription a channel, so a second filter on the same table takes a further client.
const maxClients = 16;

interface Held {
  live: Live<unknown, unknown>;
  kind: 'map' | 'stream';
  channel: string;
  asked: string; // what the node was asked for, as JSON
  local: unknown[]; // options that the node does not see
  users: number;
  timer?: ReturnType<typeof setTimeout> | undefined;
}

export class Connection {
  private readonly clients: Centrifuge[] = [];
  private readonly held = new Set<Held>();
  private readonly listeners = new Set<(connection: Connection) => void>();
  private state_: LinkState = 'connecting';
  private error_: WeirError | undefined;
  private over = false;

  /** @internal */
  constructor(
    /** Of the node's WebSocket. */
    readonly url: string,
    private readonly options: ConnectOptions,
  ) {
    this.grow();
  }

  /** disconnected: closed here, or for good by the node (see `error`). All else is tried again. */
  get state(): LinkState {
    return this.state_;
  }
  /** Why it is not connected. */
  get error(): WeirError | undefined {
    return this.error_;
  }
  /** The SDK's own object, for what is not covered here. */
  get client(): Centrifuge {
    return this.clients[0] as Centrifuge;
  }

  /** Called when `state` or `error` changed. Gives the function that ends it. */
  subscribe(listener: (connection: Connection) => void): () => void {
    const own = (connection: Connection) => listener(connection);
    this.listeners.add(own);
    return () => void this.listeners.delete(own);
  }

  /** A table of kind latest or aggregate. Equal calls share one object; each wants a close(). */
  table<Row = AnyRow>(name: string, options: TableOptions<Row> = {}): Table<Row> {
    const { key, delta, order = 'key', maxRows = 1_000_000 } = options;
    const channel = key === undefined ? name : `${name}/${key}`;
    return this.hold('map', channel, options, delta === true, [order, maxRows], (release) => new Table<Row>(channel, release, order, positive('maxRows', maxRows)));
  }

  /** A table of kind log. Equal calls share one object; each wants a close(). */
  log<Row = AnyRow>(name: string, options: LogOptions = {}): Log<Row> {
    const limit = positive('limit', options.limit ?? 1000);
    const past = Math.min(limit, options.history ?? 100);
    return this.hold('stream', name, options, false, [limit, past], (release) => new Log<Row>(name, release, limit, past));
  }

  /** Ends everything: tables and logs are closed with it. */
  close(): void {
    const news = !this.over;
    this.over = true;
    for (const held of [...this.held]) this.drop(held);
    for (const client of this.clients) client.disconnect();
    if (news) this.to('disconnected', undefined);
    this.listeners.clear();
  }

  // Any: rows are of the application's type outside, and of none here.
  // eslint-disable-next-line @typescript-eslint/no-explicit-any
  private hold<L extends Live<any, any>>(kind: Held['kind'], channel: string, { where, maxRate, tags }: Asked, delta: boolean, local: unknown[], make: (release: () => void) => L): L {
    if (this.over) throw new WeirError('closed', `the connection was closed${this.error_ ? ` by the node (${this.error_.code} ${this.error_.message})` : ''}: connect() makes a new one`);
    const data: Record<string, unknown> = {};
    if (where !== undefined) data['where'] = where;
    if (maxRate !== undefined) data['max_rate'] = maxRate;
    if (tags) data['tags'] = true;
    const asked = JSON.stringify([data, delta]);
    for (const held of this.held) {
      if (held.live.ended || held.kind !== kind || held.channel !== channel || held.asked !== asked || !held.local.every((value, i) => value === local[i])) continue;
      clearTimeout(held.timer);
      held.users++;
      return held.live as unknown as L;
    }
    const live = make(() => this.release(held));
    const held: Held = { live, kind, channel, asked, local, users: 1 };
    const client = this.clients.find((one) => !one.getSubscription(channel)) ?? this.grow();
    const settings = { ...(Object.keys(data).length ? { data } : {}), minResubscribeDelay: 300, maxResubscribeDelay: 10_000 };
    const sub = kind === 'map' ? client.newMapSubscription(channel, delta ? { ...settings, delta: 'fossil' } : settings) : client.newSubscription(channel, { ...settings, recoverable: true });
    live.attach(sub as unknown as Subscription, () => {
      sub.removeAllListeners(); // first: its end is no news
      sub.unsubscribe();
      client.removeSubscription(sub as never);
      if (client !== this.clients[0] && !Object.keys(client.subscriptions()).length) this.shrink(client);
    });
    this.held.add(held);
    sub.subscribe();
    return live;
  }

  private release(held: Held): void {
    if (held.users === 0 || --held.users > 0) return;
    const linger = this.options.linger ?? 0;
    if (linger > 0 && !this.over) held.timer = setTimeout(() => this.drop(held), linger);
    else this.drop(held);
  }

  private drop(held: Held): void {
    clearTimeout(held.timer);
    held.users = 0;
    this.held.delete(held);
    held.live.end();
  }

  private grow(): Centrifuge {
    if (this.clients.length >= maxClients) throw new WeirError('too_many_views', `${maxClients} different views of one table are open: close one, or connect() once more`);
    const { token, getToken, WebSocket: socket, name = 'weir-client', minReconnectDelay = 300, maxReconnectDelay = 10_000, sdkOptions, sdk = Centrifuge } = this.options;
    const websocket = socket ?? (globalThis as { WebSocket?: unknown }).WebSocket;
    if (!websocket) throw new WeirError('no_websocket', "there is no WebSocket here: hand in that of the package 'ws', as connect(url, { WebSocket })");
    const settings: Partial<Options> = { name, minReconnectDelay, maxReconnectDelay, websocket, ...sdkOptions };
    if (token !== undefined) settings.token = token;
    if (getToken) settings.getToken = () => getToken();
    const client = new sdk(this.url, settings);
    // The state is told of the first one; they share node and network.
    const first = this.clients.length === 0;
    client.on('connecting', ({ code, reason }) => first && this.to('connecting', code > 0 ? new WeirError(code, reason) : undefined));
    client.on('connected', () => first && this.to('connected', undefined));
    client.on('error', ({ error }) => first && this.to(this.state_, new WeirError(error.code, error.message)));
    client.on('disconnected', ({ code, reason }) => {
      if (this.over || !this.clients.includes(client)) return;
      // For good: the node does not want this client any more.
      this.over = true;
      const error = new WeirError(code, reason);
      for (const held of this.held) held.live.fail(error);
      for (const other of this.clients) other.disconnect();
      this.to('disconnected', error);
    });
    this.clients.push(client);
    client.connect();
    return client;
  }

  private shrink(client: Centrifuge): void {
    this.clients.splice(this.clients.indexOf(client), 1);
    client.disconnect();
  }

  private to(state: LinkState, error: WeirError | undefined): void {
    this.state_ = state;
    this.error_ = error;
    tell(this.listeners, this as Connection);
  }
}

function positive(name: string, value: number): number {
  if (!Number.isSafeInteger(value) || value < 1) throw new WeirError('bad_option', `${name} has to be a whole number from 1 on, it is ${value}`);
  return value;
}
