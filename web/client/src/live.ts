// What tables and logs have in common: state, listeners, one notification a frame, and the end.
import { WeirError, type LiveState } from './types.js';

export interface Tags {
  t?: string;
  age?: string;
  conflated?: string;
  p?: string;
  o?: string;
}

// The part of the SDK's subscriptions that is used here; its two kinds differ in their types of events only.
export interface Subscription {
  on(event: string, listener: (context: never) => void): unknown;
  removeAllListeners(): unknown;
  subscribe(): void;
  unsubscribe(): void;
  history?(options: { limit: number; reverse: boolean }): Promise<{ publications: { data: unknown; tags?: Tags }[] }>;
}

// Tags are texts on the wire.
export function whole(text: string | undefined): number | undefined {
  const n = text === undefined ? NaN : Number(text);
  return Number.isFinite(n) ? n : undefined;
}

// The SDK hands out one message of the node within one task and its microtasks: after them a frame is complete.
// Timers would do too, but browsers hold them back in hidden pages.
let channel: MessageChannel | undefined;
const waiting: (() => void)[] = [];
function afterFrame(work: () => void): void {
  const { setImmediate } = globalThis as { setImmediate?: (work: () => void) => unknown };
  if (setImmediate) return void setImmediate(work);
  if (!channel) {
    channel = new MessageChannel();
    channel.port1.onmessage = () => waiting.shift()?.();
  }
  waiting.push(work);
  channel.port2.postMessage(null);
}

// A listener that throws must neither keep the others from hearing nor stop the SDK: the exception is reported alone.
export function tell<Args extends unknown[]>(listeners: Iterable<(...args: Args) => void>, ...args: Args): void {
  for (const listener of [...listeners]) {
    try {
      listener(...args);
    } catch (error) {
      void Promise.reject(error);
    }
  }
}

export abstract class Live<Batch, Snapshot> {
  private readonly listeners = new Set<(batch: Batch) => void>();
  private resolve!: () => void;
  private reject!: (error: WeirError) => void;
  private scheduled = false;
  private cached: Snapshot | undefined;
  private state_: LiveState = 'loading';
  private error_: WeirError | undefined;
  private synced_ = false;
  private stop: (() => void) | undefined; // ends the subscription
  private newestAge: number | undefined;
  private conflated_ = 0;
  protected left = 0; // conflated since the last batch

  /** Resolves when there is something to show; rejects when there never will be. */
  readonly ready: Promise<void> = new Promise((resolve, reject) => {
    this.resolve = resolve;
    this.reject = reject;
  });

  /** @internal */
  constructor(
    readonly name: string,
    private readonly release: () => void,
  ) {
    this.ready.catch(() => undefined); // also in `error`, so nobody has to wait for it
  }

  get state(): LiveState {
    return this.state_;
  }
  /** The content is that of an earlier time: the connection is away, or the table failed or was closed. */
  get stale(): boolean {
    return this.synced_ && this.state_ !== 'live';
  }
  /** The last trouble. It is gone again once the table is live. */
  get error(): WeirError | undefined {
    return this.error_;
  }
  /** ms from the newest change's Kafka timestamp to its being sent, by the node's clock; needs `tags`. */
  get freshness(): number | undefined {
    return this.newestAge;
  }
  /** Changes that were left out so far because newer ones of the same rows came; needs `tags`. */
  get conflated(): number {
    return this.conflated_;
  }

  /** Called after each frame that changed something, and when the state did. Gives the function that ends it. */
  subscribe(listener: (batch: Batch) => void): () => void {
    const own = (batch: Batch) => listener(batch); // the same function may listen twice
    this.listeners.add(own);
    return () => void this.listeners.delete(own);
  }

  /** The content now, not to change any more. The same object until the next notification. */
  snapshot(): Snapshot {
    return (this.cached ??= this.take());
  }

  /** Once for each call that gave this object. The content stays readable; no listener is called any more. */
  close(): void {
    this.release();
  }

  /** @internal */
  attach(sub: Subscription, stop: () => void): void {
    this.stop = stop;
    sub.on('subscribing', () => {
      if (this.synced_) this.to('stale');
    });
    sub.on('unsubscribed', ({ code, reason }: { code: number; reason: string }) => this.fail(new WeirError(code, reason)));
    sub.on('error', ({ error }: { error: { code: number; message: string } }) => this.trouble(new WeirError(error.code, error.message)));
    this.follow(sub);
  }

  /** @internal */
  fail(error: WeirError): void {
    if (this.state_ === 'closed' || this.state_ === 'failed') return;
    this.error_ = error;
    this.to('failed');
    this.reject(error);
    this.unfollow();
  }

  /** @internal */
  end(): void {
    if (this.state_ === 'closed') return;
    this.unfollow();
    if (this.scheduled) this.apply(); // what came last stays readable
    this.state_ = 'closed';
    this.cached = undefined;
    this.listeners.clear();
    this.reject(new WeirError('closed', `${this.name} was closed before it was there`));
  }

  private unfollow(): void {
    const { stop } = this;
    this.stop = undefined;
    stop?.();
  }

  protected abstract follow(sub: Subscription): void;
  /** Puts what came into the content. */
  protected abstract apply(): Batch;
  protected abstract take(): Snapshot;

  protected live(): void {
    this.synced_ = true;
    this.error_ = undefined;
    this.to('live');
  }

  protected trouble(error: WeirError): void {
    this.error_ = error;
    this.changed();
  }

  /** @internal */
  get ended(): boolean {
    return this.state_ === 'closed' || this.state_ === 'failed';
  }

  protected note(tags: Tags | undefined): void {
    this.newestAge = whole(tags?.age) ?? this.newestAge;
    const left = whole(tags?.conflated) ?? 0;
    this.left += left;
    this.conflated_ += left;
  }

  protected changed(): void {
    if (this.scheduled) return;
    this.scheduled = true;
    afterFrame(() => {
      this.scheduled = false;
      if (this.state_ === 'closed') return;
      const batch = this.apply();
      this.left = 0;
      this.cached = undefined;
      if (this.synced_) this.resolve();
      tell(this.listeners, batch);
    });
  }

  private to(state: LiveState): void {
    if (this.state_ === 'closed') return;
    this.state_ = state;
    this.changed();
  }
}
