// Lines of numeric fields over time, sampled from live tables.
import uPlot from 'uplot';
import { attribute, fill, h, text } from './dom';
import { bytes, caption, clock, number, unitOf, type Unit } from './format';
import { past, seriesOf, type ChartSpec, type Series } from './model';
import type { Connection, LogEntry, Store } from './connection';

const sampleEvery = 500;
const keep = 1200; // samples: ten minutes
const maxRemembered = 64; // rows: a past of more takes long to work out

const styleOf = (name: string) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

export class Chart {
  readonly element: HTMLElement;
  readonly store: Store;
  private readonly canvas = h('div', { class: 'plot', role: 'img' });
  private readonly legend = h('ul', { class: 'legend' });
  private series: Series[] = [];
  private ids = '';
  private xs: number[] = [];
  private ys: (number | null)[][] = [];
  private plot: uPlot | null = null;
  private readonly unit: Unit;
  private readonly sizes: ResizeObserver;
  private readonly timer: ReturnType<typeof setInterval>;
  private hovered: number | null = null;

  constructor(private readonly connection: Connection, readonly spec: ChartSpec, kind: string, private readonly span: () => number, remove: (() => void) | null) {
    this.store = connection.open(spec.table, kind);
    this.unit = unitOf(spec.fields[0] ?? '');
    const named = spec.title === spec.fields[0] ? spec.table : spec.title;
    const heading = h('h3', {}, h('strong', {}, named), h('span', {}, spec.fields.map(caption).join(', ')));
    this.element = h('article', { class: 'card chart' },
      h('header', {}, heading, h('span', { class: 'origin' }, spec.table),
        remove && h('button', { type: 'button', class: 'button quiet', 'aria-label': `Remove the chart ${named} ${spec.fields.join(', ')}`, onclick: remove }, '×')),
      this.canvas, this.legend);
    this.sizes = new ResizeObserver(() => this.plot?.setSize({ width: this.canvas.clientWidth, height: this.canvas.clientHeight }));
    this.sizes.observe(this.canvas);
    this.timer = setInterval(() => this.sample(), sampleEvery);
  }

  close(): void {
    clearInterval(this.timer);
    this.sizes.disconnect();
    this.plot?.destroy();
    this.connection.close(this.store);
    this.element.remove();
  }

  restyle(): void {
    this.build();
  }

  // A log that keeps the same records as this table knows what was before this page was opened.
  remember(entries: LogEntry[]): boolean {
    if (this.store.rows.size > maxRemembered) return false;
    const before = (this.xs[0] ?? Date.now() / 1000) * 1000;
    const samples = past(this.spec, this.store.rows, entries, before - keep * sampleEvery, before, sampleEvery);
    if (!samples || this.xs.length === 0) return false;
    const at = new Map(this.series.map((s, i) => [s.id, i]));
    this.xs = [...samples.times.map((ms) => ms / 1000), ...this.xs];
    const older = this.ys.map(() => samples.times.map((): number | null => null));
    for (const [id, values] of samples.values) {
      const i = at.get(id);
      if (i !== undefined) older[i] = values;
    }
    this.ys = this.ys.map((values, i) => [...(older[i] ?? []), ...values]);
    this.draw();
    return true;
  }

  private sample(): void {
    if (!this.store.synced) return;
    const series = seriesOf(this.spec, this.store.rows);
    const ids = series.map((s) => s.id).join('\n');
    const now = Date.now() / 1000;
    if (ids !== this.ids) {
      const old = new Map(this.series.map((s, i) => [s.id, this.ys[i]]));
      this.ys = series.map((s) => old.get(s.id) ?? this.xs.map(() => null));
      this.ids = ids;
      this.series = series;
      this.xs.push(now);
      this.ys.forEach((values, i) => values.push(series[i]?.value(this.store.rows) ?? null));
      this.build();
      return;
    }
    this.series = series;
    // Nothing is drawn for the time the link was down: a straight line would claim to know.
    const known = this.connection.state === 'connected';
    this.xs.push(now);
    this.ys.forEach((values, i) => values.push(known ? (series[i]?.value(this.store.rows) ?? null) : null));
    if (this.xs.length > keep * 1.1) {
      const cut = this.xs.length - keep;
      this.xs.splice(0, cut);
      for (const values of this.ys) values.splice(0, cut);
    }
    if (document.hidden || this.element.offsetParent === null) return;
    requestAnimationFrame(() => this.draw());
  }

  private draw(): void {
    if (!this.plot) return;
    this.plot.batch(() => {
      this.plot?.setData([this.xs, ...this.ys] as uPlot.AlignedData, false);
      this.range();
    });
    this.write();
  }

  private range(): void {
    const last = this.xs[this.xs.length - 1] ?? Date.now() / 1000;
    const elapsed = last - (this.xs[0] ?? last);
    this.plot?.setScale('x', { min: last - Math.max(20, Math.min(this.span(), elapsed)), max: last });
  }

  private write(): void {
    const at = this.hovered ?? this.xs.length - 1;
    this.series.forEach((s, i) => {
      const item = this.legend.children[i];
      const value = this.ys[i]?.[at];
      const place = item?.querySelector('.value');
      if (place) text(place, value === null || value === undefined ? '–' : number(value, this.unit, 1));
      item?.setAttribute('title', s.label);
    });
  }

  private build(): void {
    const title = `${this.spec.title} ${this.spec.fields.join(', ')}`;
    attribute(this.canvas, 'aria-label', `Line chart of ${title} in ${this.spec.table}, ${this.series.length} lines; the newest values are in the list that follows`);
    fill(this.legend, ...this.series.map((s, i) => h('li', {}, h('span', { class: `swatch s${i % 8}`, 'aria-hidden': 'true' }), h('span', { class: 'label' }, s.label), h('span', { class: 'value' }))));
    this.plot?.destroy();
    this.plot = null;
    const width = this.canvas.clientWidth;
    if (width === 0) return void requestAnimationFrame(() => this.element.offsetParent && this.canvas.clientWidth > 0 && !this.plot && this.build());
    const ink = styleOf('--muted');
    const line = styleOf('--line');
    const font = `11px ${getComputedStyle(document.body).fontFamily}`;
    const size = (v: number) => bytes(v).replace(/\.0+ /, ' ');
    const tick = (v: number) => (this.unit === 'bytes' ? size(v) : this.unit === 'mib' ? size(v * 1048576) : this.unit === 'bytes/s' ? `${size(v)}/s` : this.unit === 'percent' ? `${v} %` : this.unit === 'ms' ? `${v} ms` : Math.abs(v) >= 10000 ? v.toLocaleString('en', { notation: 'compact' }) : String(Number(v.toPrecision(6))));
    const binary = ['bytes', 'bytes/s', 'mib'].includes(this.unit);
    this.plot = new uPlot({
      width,
      height: this.canvas.clientHeight,
      legend: { show: false },
      cursor: { y: false, drag: { x: false, y: false }, points: { size: 6 } },
      scales: { x: { time: true, auto: false }, y: { range: (_, low, high) => scale(low, high, binary) } },
      axes: [
        { stroke: ink, font, grid: { show: false }, ticks: { stroke: line, size: 4 }, space: 90, size: 26, values: (_, at) => at.map((v) => clock(v * 1000)) },
        { stroke: ink, font, grid: { stroke: line, width: 1 }, ticks: { show: false }, size: binary ? 78 : 46, gap: 6, values: (_, at) => at.map(tick),
          ...(binary ? { splits: (_: uPlot, __: number, low: number, high: number) => binarySplits(low, high) } : {}) },
      ],
      series: [{}, ...this.series.map((_, i) => ({ stroke: styleOf(`--s${i % 8}`), width: 1.75, points: { show: false }, spanGaps: false, ...(this.series.length === 1 ? { fill: `${styleOf(`--s${i % 8}`)}22` } : {}) }))],
      hooks: { setCursor: [(u) => {
        this.hovered = u.cursor.idx ?? null;
        this.write();
      }] },
    }, [this.xs, ...this.ys] as uPlot.AlignedData, this.canvas);
    this.range();
    this.write();
  }
}

// From zero where zero is near; with some air, so that a line keeps off the frame.
function scale(low: number | null, high: number | null, binary: boolean): [number, number] {
  if (low === null || high === null) return [0, binary ? 1024 : 1];
  if (low === high) return low === 0 ? [0, 1] : low > 0 ? [0, high * 1.25] : [low * 1.25, 0];
  const air = (high - low) * 0.12;
  return [low >= 0 && low - air < high * 0.5 ? 0 : low - air, high + air];
}

function binarySplits(low: number, high: number): number[] {
  let step = 1;
  while ((high - low) / step > 5) step *= 2;
  const splits = [];
  for (let v = Math.ceil(low / step) * step; v <= high; v += step) splits.push(v);
  return splits;
}
