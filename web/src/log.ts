// The newest entries of a log table, newest at the top.
import { attribute, fill, h, painter, sync, text } from './dom';
import { cell, clock, count, freshness, instant, unitOf } from './format';
import { remember, remembered } from './theme';
import type { TableInfo } from './api';
import type { Connection, Entry, Store } from './connection';

const drawn = 200;
const timeFields = ['ts', 'time', 'timestamp', 'at'];

export class LogView {
  readonly element: HTMLElement;
  private readonly list = h('div', { class: 'side-list', role: 'group', 'aria-label': 'Logs' });
  private readonly title = h('h2', { id: 'log-title' });
  private readonly facts = h('span', { class: 'facts' });
  private readonly filter = h('input', { type: 'search', placeholder: 'Filter entries', 'aria-label': 'Filter entries', autocomplete: 'off', spellcheck: 'false' });
  private readonly hold = h('button', { type: 'button', class: 'button', 'aria-pressed': 'false' }, 'Pause');
  private readonly lines = h('ol', { class: 'log', role: 'log', 'aria-live': 'off', 'aria-labelledby': 'log-title', tabindex: 0 });
  private readonly empty = h('p', { class: 'empty' });
  private tables: TableInfo[] = [];
  private chosen: string | null = remembered('weir.log');
  private store: Store | null = null;
  private seen = false;
  private paused: Entry[] | null = null;
  private readonly paint = painter(() => this.draw());

  constructor(private readonly connection: Connection) {
    const panel = h('section', { class: 'card table-panel', 'aria-labelledby': 'log-title' }, h('header', { class: 'bar' }, this.title, h('span', { class: 'tag' }, 'log'), this.facts, this.filter, this.hold), this.lines, this.empty);
    this.element = h('div', { class: 'split' }, this.list, panel);
    this.filter.addEventListener('input', this.paint);
    this.hold.addEventListener('click', () => {
      this.paused = this.paused ? null : (this.store?.entries.slice() ?? []);
      attribute(this.hold, 'aria-pressed', String(this.paused !== null));
      text(this.hold, this.paused ? 'Go on' : 'Pause');
      this.paint();
    });
    setInterval(() => this.seen && this.facts_(), 1000);
  }

  update(tables: TableInfo[]): void {
    this.tables = tables.filter((table) => table.kind === 'log');
    this.list_();
    if (this.seen) this.look();
  }

  show(seen: boolean): void {
    this.seen = seen;
    if (seen) this.look();
    else this.leave();
  }

  private list_(): void {
    sync(this.list, this.tables, (t) => t.name, (t) => h('button', { type: 'button', onclick: () => {
      this.chosen = t.name;
      remember('weir.log', t.name);
      this.look();
    } }, h('span', { class: 'name' }, t.name), h('span', { class: 'many' })), (element, t) => {
      attribute(element, 'aria-pressed', String(t.name === this.store?.name));
      const many = element.querySelector('.many');
      if (many) text(many, t.rows === undefined ? '' : count(t.rows));
    });
  }

  private look(): void {
    const table = this.tables.find((t) => t.name === this.chosen) ?? this.tables[0];
    if (this.store && this.store.name === table?.name) return this.paint();
    this.leave();
    if (table) {
      this.store = this.connection.open(table.name, 'log');
      this.store.views.add(this.paint);
      text(this.title, table.name);
    } else text(this.title, 'No logs');
    fill(this.lines);
    this.list_();
    this.facts_();
    this.paint();
  }

  private leave(): void {
    if (!this.store) return;
    this.store.views.delete(this.paint);
    this.connection.close(this.store);
    this.store = null;
    if (this.paused) this.hold.click();
  }

  private facts_(): void {
    const store = this.store;
    text(this.facts, store ? `${store.rate.perSecond.toFixed(0)} entries/s${freshness(store)}${store.state === 'live' ? '' : ` · ${store.state}`}${store.message ? ` · ${store.message}` : ''}` : '');
  }

  private draw(): void {
    if (!this.element.isConnected || !this.seen) return;
    const words = this.filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    const from = this.paused ?? this.store?.entries ?? [];
    const shown: Entry[] = [];
    for (let i = from.length - 1; i >= 0 && shown.length < drawn; i--) {
      const entry = from[i];
      if (!entry) continue;
      if (words.length) {
        const whole = Object.entries(entry.data).map(([name, value]) => `${name}=${typeof value === 'string' ? value : JSON.stringify(value)}`).join(' ').toLowerCase();
        if (!words.every((word) => whole.includes(word))) continue;
      }
      shown.push(entry);
    }
    sync(this.lines, shown, (e) => String(e.seq), (e) => line(e), () => undefined);
    this.empty.hidden = shown.length > 0;
    if (!shown.length) text(this.empty, !this.store ? 'This topology has no log tables.' : from.length ? 'No entry matches the filter.' : this.store.message || 'Nothing yet. Entries appear as they arrive.');
  }
}

function line(entry: Entry): HTMLLIElement {
  const field = timeFields.find((name) => name in entry.data);
  const at = (field ? instant(entry.data[field]) : null) ?? (entry.at || null);
  const parts = h('span', { class: 'fields' });
  for (const [name, value] of Object.entries(entry.data)) {
    if (name === field) continue;
    parts.append(h('span', { class: 'field' }, h('span', { class: 'label' }, name), h('span', { class: `value ${typeof value}` }, cell(value, unitOf(name, value), typeof value === 'number' && !Number.isInteger(value) ? 1 : 0))), ' ');
  }
  return h('li', {}, h('time', {}, at === null ? '' : clock(at, true)), parts);
}
