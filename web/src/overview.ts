// Figures of the cluster, and charts: those that suggest themselves, and the reader's own.
import { announce, fill, h, text } from './dom';
import { Chart } from './chart';
import { bytes, short } from './format';
import { numericFields, suggest, type ChartSpec } from './model';
import { remember, remembered } from './theme';
import type { NodeInfo, TableInfo } from './api';
import { tail, type Connection, type LogEntry, type Store } from './connection';

const maxSuggested = 4;
const maxRows = 500; // of a table that is looked at without being asked for
const maxTables = 6;
const pastEntries = 10000; // most that REST gives at once
const kept = 'weir.charts';

export class Overview {
  readonly element: HTMLElement;
  private readonly tiles = new Map<string, { value: HTMLElement; note: HTMLElement }>();
  private readonly charts = h('div', { class: 'charts' });
  private readonly empty = h('p', { class: 'empty' }, 'Charts appear as soon as a table has rows with numbers.');
  private readonly form = h('form', { class: 'add-chart', 'aria-label': 'Add a chart' });
  private readonly table = h('select', { 'aria-label': 'Table' });
  private readonly key = h('select', { 'aria-label': 'Row' });
  private readonly field = h('select', { 'aria-label': 'Field' });
  private readonly open: { chart: Chart; own: boolean }[] = [];
  private infos: TableInfo[] = [];
  private logs: string[] = [];
  private readonly pasts = new Map<string, Promise<LogEntry[]>>();
  private offered: Store | null = null;
  private probes: Store[] = [];
  private suggested = false;
  private span = Number(remembered('weir.span')) || 300;
  private own: ChartSpec[] = stored();
  private hidden = new Set<string>(JSON.parse(remembered('weir.hidden') ?? '[]') as string[]);
  private restored = false;

  constructor(private readonly connection: Connection) {
    const tile = (name: string, label: string) => {
      const value = h('span', { class: 'figure' }, '–');
      const note = h('span', { class: 'note' });
      this.tiles.set(name, { value, note });
      return h('div', { class: 'tile' }, h('dt', {}, label), h('dd', {}, value, note));
    };
    const spans = h('div', { class: 'segments', role: 'group', 'aria-label': 'Time shown' });
    for (const [seconds, label] of [[60, '1 min'], [300, '5 min'], [600, '10 min']] as const) {
      spans.append(h('button', { type: 'button', 'aria-pressed': String(this.span === seconds), onclick: (event) => {
        this.span = seconds;
        remember('weir.span', String(seconds));
        for (const other of Array.from(spans.children)) other.setAttribute('aria-pressed', String(other === event.currentTarget));
      } }, label));
    }
    const adder = h('details', { class: 'adder' }, h('summary', { class: 'button' }, 'Add chart'), this.form);
    this.form.append(this.labelled('Table', this.table), this.labelled('Row', this.key), this.labelled('Field', this.field), h('button', { type: 'submit', class: 'button primary' }, 'Add'));
    this.element = h('div', {},
      h('dl', { class: 'tiles' }, tile('rate', 'Records in'), tile('lag', 'Lag'), tile('changes', 'Changes here'), tile('sessions', 'Sessions'), tile('memory', 'Memory'), tile('cpu', 'CPU')),
      h('div', { class: 'bar section' }, h('h2', {}, 'Live charts'), spans, adder),
      this.charts, this.empty);
    this.table.addEventListener('change', () => this.offer());
    this.key.addEventListener('change', () => this.fields());
    adder.addEventListener('toggle', () => (adder.open ? this.offer() : this.withdraw()));
    this.form.addEventListener('submit', (event) => {
      event.preventDefault();
      this.submit();
      adder.open = false;
    });
    setInterval(() => this.figure('changes', short(connection.received.perSecond), '/s'), 1000);
  }

  nodes(nodes: NodeInfo[]): void {
    const sum = (pick: (node: NodeInfo) => number | undefined) => nodes.reduce((total, node) => total + (pick(node) ?? 0), 0);
    const sources = nodes.flatMap((node) => node.sources ?? []);
    const partitions = sources.flatMap((source) => source.partitions ?? []);
    const dead = sources.reduce((total, source) => total + (source.dead_letters ?? 0), 0);
    this.figure('rate', short(sources.reduce((total, source) => total + (source.records_per_s ?? 0), 0)), `/s${dead ? ` · ${short(dead)} dead` : ''}`);
    const lags = partitions.filter((partition) => partition.lag >= 0);
    this.figure('lag', lags.length ? short(lags.reduce((total, partition) => total + partition.lag, 0)) : '–', `over ${partitions.length} ${partitions.length === 1 ? 'partition' : 'partitions'}`);
    this.figure('sessions', short(sum((node) => node.sessions)), nodes.length > 1 ? `on ${nodes.length} nodes` : '');
    this.figure('memory', bytes(sum((node) => node.memory_bytes)), 'node');
    this.figure('cpu', `${sum((node) => node.cpu_percent).toFixed(1)} %`, 'of a core');
  }

  update(infos: TableInfo[]): void {
    this.infos = infos.filter((table) => table.kind !== 'log');
    this.logs = infos.filter((table) => table.kind === 'log' && (table.rows ?? 1) > 0).map((table) => table.name);
    if (!this.restored && this.infos.length) {
      this.restored = true;
      for (const spec of this.own) this.add(spec, true);
    }
    if (!this.suggested) this.probe();
  }

  restyle(): void {
    for (const { chart } of this.open) chart.restyle();
  }

  // Small tables are looked into until they tell what is worth a chart.
  private probe(): void {
    const small = this.infos.filter((table) => (table.rows ?? 0) <= maxRows).slice(0, maxTables);
    if (this.probes.length === 0) this.probes = small.map((table) => this.connection.open(table.name, table.kind));
    if (!this.probes.length || !this.probes.every((store) => store.synced || store.state === 'unsubscribed')) {
      if (this.probes.length) setTimeout(() => !this.suggested && this.probe(), 300);
      return;
    }
    const found = this.probes.flatMap((store) => suggest(store.name, store.kind, store.rows.values())).sort((a, b) => b.score - a.score);
    if (!found.length) {
      for (const store of this.probes) this.connection.close(store);
      this.probes = [];
      return; // the next list of tables asks again
    }
    this.suggested = true;
    for (const { spec } of found.slice(0, maxSuggested)) if (!this.hidden.has(name(spec))) this.add(spec, false);
    for (const store of this.probes) this.connection.close(store);
    this.probes = [];
  }

  private add(spec: ChartSpec, own: boolean): void {
    const kind = this.infos.find((table) => table.name === spec.table)?.kind;
    if (!kind) return;
    const entry: { chart: Chart; own: boolean } = { own, chart: new Chart(this.connection, spec, kind, () => this.span, () => {
      entry.chart.close();
      this.open.splice(this.open.indexOf(entry), 1);
      if (own) {
        this.own = this.own.filter((other) => name(other) !== name(spec));
        remember(kept, JSON.stringify(this.own));
      } else {
        this.hidden.add(name(spec));
        remember('weir.hidden', JSON.stringify([...this.hidden]));
      }
      announce(`Chart ${spec.title} removed`);
      this.empty.hidden = this.open.length > 0;
      this.form.closest('details')?.querySelector('summary')?.focus();
    }) };
    this.open.push(entry);
    this.charts.append(entry.chart.element);
    this.empty.hidden = true;
    // After its first samples, when it knows its lines.
    setTimeout(() => void this.remember(entry.chart), 1600);
  }

  // Several charts begin at once: a log is fetched for all of them together.
  private async remember(chart: Chart): Promise<void> {
    for (const log of this.logs.slice(0, 3)) {
      let entries = this.pasts.get(log);
      if (!entries) {
        entries = tail(log, pastEntries);
        this.pasts.set(log, entries);
        setTimeout(() => this.pasts.delete(log), 5000);
      }
      if (chart.remember(await entries)) return;
    }
  }

  private submit(): void {
    const field = this.field.value;
    if (!this.offered || !field) return;
    const key = this.key.value;
    const shape = key ? null : this.shapeWith(field);
    const spec: ChartSpec = { table: this.offered.name, title: key || this.offered.name, keys: key ? [key] : null, shape, fields: [field] };
    if (!this.open.some(({ chart }) => name(chart.spec) === name(spec))) {
      this.own.push(spec);
      remember(kept, JSON.stringify(this.own));
      this.add(spec, true);
    }
    announce(`Chart of ${field} added`);
  }

  private shapeWith(field: string): string | null {
    for (const row of this.offered?.rows.values() ?? []) {
      const fields = numericFields(row.data);
      if (fields.includes(field)) return fields.join(' ');
    }
    return null;
  }

  private offer(): void {
    const names = this.infos.map((table) => table.name);
    if (names.join() !== Array.from(this.table.options, (option) => option.value).join()) fill(this.table, ...names.map((option) => h('option', { value: option }, option)));
    const info = this.infos.find((table) => table.name === this.table.value) ?? this.infos[0];
    if (!info) return;
    if (this.offered?.name !== info.name) {
      this.withdraw();
      this.offered = this.connection.open(info.name, info.kind);
      this.offered.views.add(this.refresh);
    }
    this.refresh();
  }

  private withdraw(): void {
    if (!this.offered) return;
    this.offered.views.delete(this.refresh);
    this.connection.close(this.offered);
    this.offered = null;
  }

  private readonly refresh = (): void => {
    const keys = [...(this.offered?.rows.keys() ?? [])].sort().slice(0, 300);
    const now = this.key.value;
    if (keys.length + 1 !== this.key.options.length || (this.key.options[1]?.value ?? '') !== (keys[0] ?? '')) {
      fill(this.key, h('option', { value: '' }, 'all rows'), ...keys.map((key) => h('option', { value: key }, key)));
      if (keys.includes(now)) this.key.value = now;
    }
    this.fields();
  };

  private fields(): void {
    const rows = this.key.value ? [this.offered?.rows.get(this.key.value)] : [...(this.offered?.rows.values() ?? [])].slice(0, 200);
    const names = [...new Set(rows.flatMap((row) => (row ? numericFields(row.data) : [])))].sort();
    if (names.join() === Array.from(this.field.options, (option) => option.value).join()) return;
    const now = this.field.value;
    fill(this.field, ...names.map((option) => h('option', { value: option }, option)));
    if (names.includes(now)) this.field.value = now;
  }

  private figure(tile: string, value: string, note: string): void {
    const place = this.tiles.get(tile);
    if (!place) return;
    text(place.value, value);
    text(place.note, note);
  }

  private labelled(label: string, control: HTMLElement): HTMLElement {
    return h('label', {}, h('span', {}, label), control);
  }
}

const name = (spec: ChartSpec): string => JSON.stringify([spec.table, spec.keys, spec.shape, spec.fields]);

function stored(): ChartSpec[] {
  try {
    const list = JSON.parse(remembered(kept) ?? '[]') as ChartSpec[];
    return Array.isArray(list) ? list.filter((spec) => typeof spec?.table === 'string' && Array.isArray(spec.fields)).slice(0, 12) : [];
  } catch {
    return [];
  }
}
