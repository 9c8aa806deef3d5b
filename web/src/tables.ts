// The list of tables, and one of them as a live grid.
import { attribute, fill, h, sync, text } from './dom';
import { count, freshness } from './format';
import { Grid } from './grid';
import { remember, remembered } from './theme';
import type { TableInfo } from './api';
import type { Connection, Store } from './connection';

export class TablesView {
  readonly element: HTMLElement;
  private readonly list = h('div', { class: 'side-list', role: 'group', 'aria-label': 'Tables' });
  private readonly panel = h('section', { class: 'card table-panel', 'aria-labelledby': 'table-title' });
  private readonly title = h('h2', { id: 'table-title' });
  private readonly kind = h('span', { class: 'tag' });
  private readonly facts = h('span', { class: 'facts' });
  private readonly filter = h('input', { type: 'search', placeholder: 'Filter rows', 'aria-label': 'Filter rows', autocomplete: 'off', spellcheck: 'false' });
  private readonly place = h('div', { class: 'grid-place' });
  private tables: TableInfo[] = [];
  private chosen: string | null = remembered('weir.table');
  private open: { store: Store; grid: Grid } | null = null;
  private seen = false;

  constructor(private readonly connection: Connection) {
    this.panel.append(h('header', { class: 'bar' }, this.title, this.kind, this.facts, this.filter), this.place);
    this.element = h('div', { class: 'split' }, this.list, this.panel);
    this.filter.addEventListener('input', () => this.open?.grid.find(this.filter.value));
    setInterval(() => this.seen && this.tick(), 1000);
  }

  update(tables: TableInfo[]): void {
    this.tables = tables.filter((table) => table.kind !== 'log');
    this.draw();
    if (this.seen) this.look();
  }

  show(seen: boolean): void {
    this.seen = seen;
    if (seen) this.look();
    else this.leave();
  }

  private draw(): void {
    sync(this.list, this.tables, (t) => t.name, (t) => h('button', { type: 'button', onclick: () => this.choose(t.name) }, h('span', { class: 'name' }, t.name), h('span', { class: 'many' })), (element, t) => {
      attribute(element, 'aria-pressed', String(t.name === this.chosen));
      const held = this.connection.stores.find((store) => store.name === t.name && store.synced);
      const many = element.querySelector('.many');
      if (many) text(many, count(held ? held.rows.size : (t.rows ?? 0)));
      attribute(element, 'aria-label', `${t.name}, ${t.kind}, ${t.rows ?? 0} rows`);
    });
  }

  private choose(name: string): void {
    this.chosen = name;
    remember('weir.table', name);
    this.look();
    this.draw();
  }

  private look(): void {
    const table = this.tables.find((t) => t.name === this.chosen) ?? this.tables[0];
    if (!table) {
      this.leave();
      fill(this.place, h('p', { class: 'empty' }, 'No tables yet.'));
      return;
    }
    if (this.open?.store.name === table.name) return;
    this.leave();
    this.chosen = table.name;
    const store = this.connection.open(table.name, table.kind);
    const grid = new Grid(store);
    this.open = { store, grid };
    this.filter.value = '';
    text(this.title, table.name);
    text(this.kind, table.kind);
    fill(this.place, grid.element);
    let shown = -1;
    grid.onCount = (now) => {
      if (now !== shown) this.tick(now);
      shown = now;
    };
    this.draw();
    this.tick();
  }

  private shown = 0;
  private tick(shown = this.shown): void {
    this.shown = shown;
    const store = this.open?.store;
    if (!store) return;
    const all = store.rows.size;
    text(this.facts, `${this.filter.value ? `${count(shown)} of ` : ''}${count(all)} ${all === 1 ? 'row' : 'rows'} · ${store.rate.perSecond.toFixed(0)} changes/s${freshness(store)}${store.state === 'live' ? '' : ` · ${store.state}`}`);
    this.draw();
  }

  private leave(): void {
    if (!this.open) return;
    this.open.grid.close();
    this.connection.close(this.open.store);
    this.open = null;
  }
}
