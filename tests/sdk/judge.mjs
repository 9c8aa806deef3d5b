// What a client may ever see, judged event by event; for Node.js and for a page. Imports nothing.

// A map's rows carry a number `i` that grows with every change of their key.
export class MapJudge {
  rows = new Map();
  problems = [];
  counts = { syncs: 0, updates: 0, removals: 0, repeats: 0 };
  #newest = new Map(); // of each key, also of removed ones

  #row(key, data, how) {
    const before = this.#newest.get(key);
    if (!Number.isInteger(data?.i)) return this.#blame(`${key} has no number of its change by ${how}`);
    if (before !== undefined && data.i < before) this.#blame(`${key} went back from ${before} to ${data.i} by ${how}`);
    if (data.i === before) this.counts.repeats++;
    this.#newest.set(key, Math.max(before ?? -1, data.i));
    this.rows.set(key, data);
  }

  #blame(what) {
    if (this.problems.length < 20) this.problems.push(what);
  }

  sync({ entries }) {
    this.counts.syncs++;
    this.rows.clear();
    for (const { key, data } of entries) {
      if (this.rows.has(key)) this.#blame(`${key} came twice in one state`);
      this.#row(key, data, 'a state');
    }
  }

  update({ key, data, removed }) {
    this.counts.updates++;
    if (!removed) return this.#row(key, data, 'an update');
    this.counts.removals++;
    this.rows.delete(key);
  }

  report() {
    return { problems: this.problems, ...this.counts, size: this.rows.size };
  }
}

// Entries come at least once and in order by partition: whatever is not new has to have been there before.
export class StreamJudge {
  problems = [];
  counts = { publications: 0, repeats: 0, recovered: 0, lost: 0 };
  partitions = {}; // entries of each, once and in order
  #seen = new Map(); // of each partition: offset to entry

  subscribed({ wasRecovering, recovered }) {
    if (!wasRecovering) return;
    if (recovered) this.counts.recovered++;
    else this.counts.lost++;
  }

  publication({ data, tags }) {
    this.counts.publications++;
    const { p, o } = tags;
    const seen = this.#seen.get(p) ?? this.#seen.set(p, { last: -1, entries: new Map() }).get(p);
    const offset = Number(o);
    if (seen.entries.has(offset)) {
      this.counts.repeats++;
      if (seen.entries.get(offset) !== JSON.stringify(data)) this.problems.push(`entry ${p}/${o} came twice and not the same`);
      return;
    }
    if (offset < seen.last) this.problems.push(`entry ${p}/${o} came after ${seen.last}`);
    seen.last = Math.max(seen.last, offset);
    seen.entries.set(offset, JSON.stringify(data));
    (this.partitions[p] ??= []).push(data);
  }

  report() {
    return { problems: this.problems.slice(0, 20), ...this.counts };
  }
}

// Both on one client. `subscribe(name, kind)` makes a subscription of the SDK.
export function judged(subscribe, table, log) {
  const map = new MapJudge();
  const stream = new StreamJudge();
  const asked = []; // codes with which the server ended a subscription that the SDK then made anew
  const maps = subscribe(table, 'map');
  maps.on('sync', (event) => map.sync(event));
  maps.on('update', (event) => map.update(event));
  const streams = subscribe(log, 'stream');
  streams.on('subscribed', (event) => stream.subscribed(event));
  streams.on('publication', (event) => stream.publication(event));
  for (const sub of [maps, streams])
    sub.on('subscribing', ({ code }) => {
      if (code >= 2500) asked.push(code);
    });
  for (const sub of [maps, streams]) sub.subscribe();
  return {
    ready: () => maps.state === 'subscribed' && streams.state === 'subscribed' && map.counts.syncs > 0,
    dump: () => ({ map: map.report(), stream: stream.report(), asked, partitions: stream.partitions, rows: Object.fromEntries(map.rows) }),
  };
}
