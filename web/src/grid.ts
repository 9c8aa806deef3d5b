// A live table of any size: only the rows in the window exist in the page.
import { announce, attribute, h, painter, text } from './dom';
import { cell, count } from './format';
import { select, visible, type Column, type Row, type Sorting } from './model';
import type { Store } from './connection';

const rowHeight = 34;
const firstLimit = 250;
// Rows that move while they are read help nobody: a sorted grid puts them in order anew at most this often.
const orderEvery = 700;

interface Line {
  element: HTMLTableRowElement;
  head: HTMLElement;
  cells: HTMLTableCellElement[];
  data: unknown;
}

export class Grid {
  readonly element: HTMLElement;
  private readonly scroller: HTMLDivElement;
  private readonly table: HTMLTableElement;
  private readonly widths = h('colgroup');
  private readonly headRow = h('tr');
  private readonly body = h('tbody');
  private readonly above = h('tr', { 'aria-hidden': 'true', class: 'space' }, h('td'));
  private readonly below = h('tr', { 'aria-hidden': 'true', class: 'space' }, h('td'));
  private readonly more = h('button', { type: 'button', class: 'button more' });
  private readonly empty = h('p', { class: 'empty' });
  private readonly lines = new Map<string, Line>();
  private readonly sorting: Sorting = { column: null, descending: false };
  private filter = '';
  private limit = firstLimit;
  private order: Row[] = [];
  private ordered = { version: -1, at: 0, filter: '', size: -1 };
  private columns: Column[] = [];
  private layout = '';
  private later: ReturnType<typeof setTimeout> | undefined;
  private readonly paint = painter(() => this.draw());
  onCount: (shown: number, all: number) => void = () => undefined;

  constructor(private readonly store: Store) {
    this.table = h('table', { class: 'grid' }, this.widths, h('thead', {}, this.headRow), this.body);
    this.scroller = h('div', { class: 'scroller', tabindex: 0, role: 'region', 'aria-label': `Rows of ${store.name}` }, this.table);
    this.element = h('div', { class: 'grid-frame' }, this.scroller, this.empty, this.more);
    this.scroller.addEventListener('scroll', this.paint, { passive: true });
    this.more.addEventListener('click', () => {
      this.limit = Infinity;
      this.order = [];
      this.ordered.version = -1;
      this.paint();
      this.scroller.focus();
    });
    store.views.add(this.paint);
    window.addEventListener('resize', this.paint);
    this.paint();
  }

  close(): void {
    this.store.views.delete(this.paint);
    window.removeEventListener('resize', this.paint);
    clearTimeout(this.later);
  }

  find(words: string): void {
    this.filter = words;
    this.scroller.scrollTop = 0;
    this.paint();
  }

  private sort(column: string | null): void {
    if (this.sorting.column === column) this.sorting.descending = !this.sorting.descending;
    else {
      this.sorting.column = column;
      this.sorting.descending = column !== null && (this.store.columns.byName.get(column)?.numeric ?? false);
    }
    this.ordered.version = -1;
    announce(`Sorted by ${column ?? 'key'}, ${this.sorting.descending ? 'descending' : 'ascending'}`);
    this.paint();
  }

  private arrange(): void {
    const { store, ordered } = this;
    const now = performance.now();
    const same = ordered.version === store.version && ordered.filter === this.filter;
    const forced = ordered.version < 0 || ordered.filter !== this.filter || (ordered.size !== store.rows.size && store.rows.size < 500);
    if (same) return;
    if (!forced && now - ordered.at < orderEvery) {
      // Gone rows may stay until then: their place is kept, so nothing jumps.
      this.later ??= setTimeout(() => {
        this.later = undefined;
        this.paint();
      }, orderEvery);
      return;
    }
    this.order = select(store.rows.values(), this.filter, this.sorting);
    this.ordered = { version: store.version, at: now, filter: this.filter, size: store.rows.size };
  }

  private head(): void {
    this.columns = [...this.store.columns.byName.values()];
    const layout = JSON.stringify([this.columns.map((c) => [c.name, c.numeric, c.width]), this.sorting]);
    if (layout === this.layout) return;
    const same = this.headRow.children.length === this.columns.length + 1;
    this.layout = layout;
    const longest = Math.min(32, Math.max(8, ...[...this.store.rows.keys()].slice(0, 500).map((key) => key.length)));
    this.widths.replaceChildren(...[longest + 2, ...this.columns.map((c) => Math.min(c.numeric ? 20 : 30, Math.max(6, c.width)))].map((n) => {
      const col = h('col');
      // Letters are wider than the digit that `ch` is made of.
      col.style.width = `calc(${n} * 1.12ch + 30px)`;
      return col;
    }));
    // The buttons stay the same elements, so that focus is not lost to a column that grew.
    if (!same) {
      this.headRow.replaceChildren(this.heading(null, 'key'), ...this.columns.map((c) => this.heading(c.name, c.name)));
      for (const line of this.lines.values()) line.element.remove();
      this.lines.clear();
    }
    Array.from(this.headRow.children).forEach((th, i) => {
      const column = i === 0 ? null : (this.columns[i - 1]?.name ?? null);
      th.classList.toggle('number', i > 0 && (this.columns[i - 1]?.numeric ?? false));
      attribute(th, 'aria-sort', this.sorting.column !== column ? 'none' : this.sorting.descending ? 'descending' : 'ascending');
    });
  }

  private heading(column: string | null, label: string): HTMLElement {
    return h('th', { scope: 'col' }, h('button', { type: 'button', title: `Sort by ${label}`, onclick: () => this.sort(column) }, h('span', {}, label), h('span', { class: 'arrow', 'aria-hidden': 'true' })));
  }

  private draw(): void {
    if (!this.element.isConnected) return;
    this.arrange();
    this.head();
    const all = this.order.length;
    const shown = Math.min(all, this.limit);
    const { from, to } = visible(shown, rowHeight, this.scroller.scrollTop, this.scroller.clientHeight || 600);
    const wanted = new Set<string>();
    let place: Element | null = this.above.isConnected ? this.above.nextElementSibling : null;
    if (!this.above.isConnected) {
      this.body.append(this.above, this.below);
      place = this.below;
    }
    for (let i = from; i < to; i++) {
      const row = this.order[i];
      if (!row) continue;
      wanted.add(row.key);
      let line = this.lines.get(row.key);
      if (!line) {
        line = this.line(row.key);
        this.lines.set(row.key, line);
      }
      if (line.data !== row.data) {
        this.write(line, row, line.data !== undefined);
        line.data = row.data;
      }
      attribute(line.element, 'aria-rowindex', String(i + 2));
      if (line.element === place) place = place.nextElementSibling;
      else this.body.insertBefore(line.element, place);
    }
    for (const [key, line] of this.lines) {
      if (wanted.has(key)) continue;
      line.element.remove();
      this.lines.delete(key);
    }
    const blank = (element: HTMLElement, rows: number) => {
      const height = `${rows * rowHeight}px`;
      const td = element.firstElementChild as HTMLTableCellElement;
      if (td.style.height !== height) td.style.height = height;
      element.hidden = rows === 0;
      td.colSpan = this.columns.length + 1;
    };
    blank(this.above, from);
    blank(this.below, shown - to);
    attribute(this.table, 'aria-rowcount', String(all + 1));
    const left = all - shown;
    this.more.hidden = left <= 0;
    if (left > 0) text(this.more, `Show ${count(left)} more`);
    this.empty.hidden = all > 0;
    if (all === 0) text(this.empty, this.store.rows.size > 0 ? 'No row matches the filter.' : this.store.synced ? 'No rows yet. They appear as records arrive.' : this.store.message || 'Waiting for the first rows …');
    this.table.hidden = all === 0 && this.columns.length === 0;
    this.onCount(all, this.store.rows.size);
  }

  private line(key: string): Line {
    const head = h('th', { scope: 'row', title: key }, key);
    const cells = this.columns.map((c) => h('td', { class: c.numeric ? 'number' : null }));
    return { element: h('tr', {}, head, ...cells), head, cells, data: undefined };
  }

  private write(line: Line, row: Row, mark: boolean): void {
    this.columns.forEach((column, i) => {
      const td = line.cells[i];
      if (!td) return;
      const value = row.data[column.name];
      if (!text(td, cell(value, column.unit, column.numeric ? column.decimals : 0))) return;
      td.classList.toggle('none', value === null || value === undefined);
      td.classList.toggle('number', column.numeric);
      // Two names of one animation: changing from one to the other starts it again.
      if (mark) td.dataset.changed = td.dataset.changed === 'a' ? 'b' : 'a';
    });
  }
}
