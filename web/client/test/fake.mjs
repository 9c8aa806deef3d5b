// The SDK as far as weir-client uses it, driven by the test; and the package as it was built.
export { connect, WeirError } from '../dist/index.js';

class Emitter {
  heard = new Map();
  on(event, listener) {
    this.heard.set(event, [...(this.heard.get(event) ?? []), listener]);
  }
  removeAllListeners() {
    this.heard.clear();
  }
  emit(event, context = {}) {
    for (const listener of this.heard.get(event) ?? []) listener(context);
  }
}

export class FakeSubscription extends Emitter {
  state = 'unsubscribed';
  histories = []; // answers of `history`, in turn: lists, errors, or promises of one
  constructor(channel, kind, options) {
    super();
    Object.assign(this, { channel, kind, options });
  }
  subscribe() {
    this.state = 'subscribing';
  }
  unsubscribe() {
    this.state = 'unsubscribed';
    this.emit('unsubscribed', { code: 0, reason: 'unsubscribe called' });
  }
  async history(options) {
    this.asked = options;
    const answer = await this.histories.shift();
    if (answer instanceof Error || answer === undefined) throw answer ?? Object.assign(new Error('method not found'), { code: 104 });
    return { publications: answer, offset: 1, epoch: 'e' };
  }
  live(context = {}) {
    this.state = 'subscribed';
    this.emit('subscribed', { recovered: false, wasRecovering: false, ...context });
  }
  sync(rows) {
    this.live();
    this.emit('sync', { entries: Object.entries(rows).map(([key, data]) => ({ key, data })) });
  }
}

export class FakeCentrifuge extends Emitter {
  static made = [];
  subs = new Map();
  state = 'disconnected';
  constructor(url, options) {
    super();
    Object.assign(this, { url, options });
    FakeCentrifuge.made.push(this);
  }
  connect() {
    this.state = 'connecting';
  }
  disconnect() {
    if (this.state === 'disconnected') return;
    this.state = 'disconnected';
    this.emit('disconnected', { code: 0, reason: 'disconnect called' });
  }
  add(channel, kind, options) {
    if (this.subs.has(channel)) throw new Error(`Subscription to the channel ${channel} already exists`);
    const sub = new FakeSubscription(channel, kind, options);
    this.subs.set(channel, sub);
    return sub;
  }
  newMapSubscription(channel, options) {
    return this.add(channel, 'map', options);
  }
  newSubscription(channel, options) {
    return this.add(channel, 'stream', options);
  }
  getSubscription(channel) {
    return this.subs.get(channel) ?? null;
  }
  removeSubscription(sub) {
    if (this.subs.get(sub.channel) === sub) this.subs.delete(sub.channel);
  }
  subscriptions() {
    return Object.fromEntries(this.subs);
  }
}

// A connection, its fake clients in the order in which they were made, and the fake behind a table or log.
export async function world(options = {}) {
  const { connect } = await import('../dist/index.js');
  FakeCentrifuge.made = [];
  const weir = connect('http://node:8080', { sdk: FakeCentrifuge, WebSocket: class {}, ...options });
  return { weir, clients: FakeCentrifuge.made, sub: (channel, client = 0) => FakeCentrifuge.made[client].subs.get(channel) };
}

// Everything that a listener hears; `frame()` waits until a frame's notifications are out.
export function listen(live) {
  const batches = [];
  live.subscribe((batch) => batches.push(batch));
  return batches;
}
export const frame = () => new Promise((done) => setImmediate(() => setImmediate(done)));
