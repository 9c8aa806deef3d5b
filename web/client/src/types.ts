// What an application hands in and gets back. Times are milliseconds.
import type { Centrifuge, Options } from 'centrifuge';

/** A condition as in a topology's `where`: JSON Pointers into the row, or `key`, with a value or operators. */
export type Condition = Record<string, unknown>;

/** What a row or entry is without a type of the application's own. */
// eslint-disable-next-line @typescript-eslint/no-explicit-any
export type AnyRow = Record<string, any>;

export interface ConnectOptions {
  /** JWT for the node; `getToken` is asked for a new one when it has expired. */
  token?: string;
  getToken?: () => Promise<string>;
  /** Where there is no global one (Node.js before 22): that of the package `ws`. */
  WebSocket?: unknown;
  /** Shown in the node's logs. Default: weir-client. */
  name?: string;
  /** ms between the last close() of a table and its end on the wire: who returns in time finds it warm. Default: 0. */
  linger?: number;
  /** Waits between attempts to connect, ms; jittered by the SDK. Default: 300 to 10,000. */
  minReconnectDelay?: number;
  maxReconnectDelay?: number;
  /** Anything else that the SDK takes. */
  sdkOptions?: Partial<Options>;
  /** The SDK's class, to use another build of it than the one that is imported. */
  sdk?: new (endpoint: string, options: Partial<Options>) => Centrifuge;
}

/** What the node is asked for. It is part of the subscription: the same table with other ones is another subscription. */
export interface Asked {
  /** Only rows that meet it. A row that stops to is removed. */
  where?: Condition;
  /** At most so many messages: "5/s", "30/m". What changed more often in between comes with its newest value. */
  maxRate?: string;
  /** Publications carry their age: see `freshness` and `conflated`. */
  tags?: boolean;
}

export type Order<Row> = 'key' | 'arrival' | ((a: readonly [string, Row], b: readonly [string, Row]) => number);

export interface TableOptions<Row = AnyRow> extends Asked {
  /** One row alone. */
  key?: string;
  /** Changes of a row come as differences. Default: false. */
  delta?: boolean;
  /** Of iteration and snapshots. `arrival`: who changed last comes last. Default: key (by UTF-16 code units). */
  order?: Order<Row>;
  /** Rows that are taken before the table fails with `too_many_rows`. Default: 1,000,000. */
  maxRows?: number;
}

export interface LogOptions extends Asked {
  /** Entries that are kept; the oldest go first. Default: 1,000. */
  limit?: number;
  /** Entries from before the subscription that are asked for, at most `limit`. Default: 100. */
  history?: number;
}

/**
 * loading: nothing to show yet. live: what is shown follows the node. stale: the connection is lost and being made
 * anew; what is shown was true when it went. failed: see `error`; nothing comes any more. closed: by close().
 */
export type LiveState = 'loading' | 'live' | 'stale' | 'failed' | 'closed';

/** `code` is one of the client protocol, or a name for what this package found itself. */
export class WeirError extends Error {
  constructor(
    readonly code: number | string,
    message: string,
  ) {
    super(message);
    this.name = 'WeirError';
  }
}

/** What changed since the last notification: the changes of one message of the node, or of several that came at once. */
export interface TableBatch<Row> {
  readonly changed: ReadonlyMap<string, Row>;
  readonly removed: ReadonlySet<string>;
  /** The whole table was sent: at first, and when the position was lost. `changed` has all rows then. */
  readonly reset: boolean;
  /** Changes that the node left out since the batch before, because newer ones of the same rows came (with `tags`). */
  readonly conflated: number;
}

export interface LogEntry<Row = AnyRow> {
  readonly data: Row;
  /** Of the Kafka record. With both, an entry is known by them. */
  readonly partition?: number;
  readonly offset?: number;
  /** The record's Kafka timestamp, ms since 1970 (with `tags`). */
  readonly time?: number;
}

export interface LogBatch<Row> {
  readonly added: readonly LogEntry<Row>[];
  /** The list was made anew: `added` is all of it. */
  readonly reset: boolean;
  /** Entries may be missing before `added`: the node no longer had them. */
  readonly gap: boolean;
  readonly conflated: number;
}
