// Nodes, their sources by partition, and this page's own link.
import { attribute, fill, h, sync, text } from './dom';
import { bytes, count, duration } from './format';
import type { NodeInfo, PartitionInfo, SourceInfo } from './api';
import type { Connection } from './connection';

export class HealthView {
  readonly element: HTMLElement;
  private readonly nodes = h('div', { class: 'nodes' });
  private readonly problem = h('p', { class: 'banner bad', role: 'status', hidden: true });
  private readonly link = h('dl', { class: 'pairs' });
  private readonly linkState = h('span', { class: 'state' });
  private readonly subscriptions = h('tbody');
  private readonly again: HTMLButtonElement;
  private known: NodeInfo[] = [];

  constructor(private readonly connection: Connection) {
    this.again = h('button', { type: 'button', class: 'button', onclick: () => connection.connect() }, 'Connect');
    this.element = h('div', { class: 'health' }, this.problem, this.nodes,
      h('section', { class: 'card', 'aria-labelledby': 'link-title' },
        h('header', { class: 'bar' }, h('h2', { id: 'link-title' }, 'This page'), this.linkState, this.again),
        this.link,
        h('div', { class: 'scroller flat' }, h('table', { class: 'plain' }, h('caption', {}, 'Subscriptions'),
          h('thead', {}, h('tr', {}, h('th', { scope: 'col' }, 'Table'), h('th', { scope: 'col' }, 'Kind'), h('th', { scope: 'col' }, 'State'), h('th', { scope: 'col', class: 'number' }, 'Rows'), h('th', { scope: 'col', class: 'number' }, 'Changes/s'))), this.subscriptions))));
    setInterval(() => this.drawLink(), 1000);
    connection.listeners.add(() => this.drawLink());
  }

  update(nodes: NodeInfo[]): void {
    this.known = nodes;
    this.problem.hidden = true;
    sync(this.nodes, nodes, (node) => node.name, (node) => this.card(node), (element, node) => this.write(element, node));
  }

  failed(message: string): void {
    text(this.problem, `No news from the node: ${message}.${this.known.length ? ' What is shown is the last that was heard.' : ''}`);
    this.problem.hidden = false;
  }

  private card(node: NodeInfo): HTMLElement {
    const id = `node-${node.name}`;
    return h('section', { class: 'card node', 'aria-labelledby': id },
      h('header', { class: 'bar' }, h('h2', { id }, node.name), h('span', { class: 'state ready' }), h('span', { class: 'facts' })),
      h('ul', { class: 'waiting', 'aria-label': 'Waits for' }),
      h('dl', { class: 'pairs' }),
      h('div', { class: 'sources' }));
  }

  private write(element: Element, node: NodeInfo): void {
    const find = (selector: string) => element.querySelector(selector) as HTMLElement;
    const ready = node.ready !== false;
    const waiting = (node.waiting ?? []).map((w) => (typeof w === 'string' ? w : JSON.stringify(w)));
    text(find('.ready'), ready ? 'ready' : 'not ready');
    attribute(find('.ready'), 'data-state', ready ? 'good' : 'busy');
    text(find('.facts'), `${node.version ? `weir ${node.version}` : 'weir'}${node.uptime_s === undefined ? '' : ` · up ${duration(node.uptime_s * 1000)}`}`);
    const list = find('.waiting');
    list.hidden = waiting.length === 0;
    sync(list, waiting, (w) => w, (w) => h('li', {}, w), () => undefined);
    const redis = node.redis?.connected;
    pairs(find('.pairs'), [
      ['Sessions', count(node.sessions ?? 0)],
      ['Memory', node.memory_bytes === undefined ? '–' : bytes(node.memory_bytes)],
      ['CPU', node.cpu_percent === undefined ? '–' : `${node.cpu_percent.toFixed(1)} %`],
      ['Redis', redis === undefined ? '–' : redis ? 'connected' : 'not connected'],
      ['Tables', count(node.tables?.length ?? 0)],
    ]);
    sync(find('.sources'), node.sources ?? [], (s) => s.name, (s) => this.source(s), (place, s) => this.writeSource(place, s));
  }

  private source(source: SourceInfo): HTMLElement {
    return h('div', { class: 'source' }, h('h3', {}, h('strong', {}, source.name), h('span', { class: 'facts' })), h('p', { class: 'source-message', hidden: true }),
      h('div', { class: 'scroller flat' }, h('table', { class: 'plain partitions' },
        h('thead', {}, h('tr', {}, h('th', { scope: 'col', class: 'number' }, 'Partition'), h('th', { scope: 'col' }, 'State'), h('th', { scope: 'col', class: 'number' }, 'Position'), h('th', { scope: 'col', class: 'number' }, 'Lag'), h('th', { scope: 'col', class: 'wide' }, h('span', { class: 'sr' }, 'Lag as a bar')))), h('tbody'))));
  }

  private writeSource(element: Element, source: SourceInfo): void {
    const find = (selector: string) => element.querySelector(selector) as HTMLElement;
    const dead = source.dead_letters ?? 0;
    text(find('.facts'), `topic ${source.topic} · ${(source.records_per_s ?? 0).toFixed(1)} records/s · ${count(dead)} dead ${dead === 1 ? 'letter' : 'letters'}`);
    const said = find('.source-message');
    said.hidden = !source.message;
    if (source.message) text(said, source.message);
    const partitions = source.partitions ?? [];
    // Bars compare partitions with each other, and with a thousand records, so that three are not a full bar.
    const most = Math.max(1000, ...partitions.map((p) => p.lag));
    sync(find('tbody'), partitions, (p) => String(p.partition), (p) => h('tr', {}, h('th', { scope: 'row', class: 'number' }, String(p.partition)), h('td', {}, h('span', { class: 'state' })), h('td', { class: 'number' }), h('td', { class: 'number' }), h('td', { class: 'wide' }, h('span', { class: 'lag-bar', 'aria-hidden': 'true' }, h('span')))), (row, p: PartitionInfo) => {
      const cells = row.children;
      const state = row.querySelector('.state') as HTMLElement;
      text(state, p.state);
      attribute(state, 'data-state', p.state === 'running' ? 'good' : p.state === 'blocked' ? 'bad' : 'busy');
      if (p.message) state.title = p.message;
      if (cells[2]) text(cells[2], p.position < 0 ? '–' : count(p.position));
      if (cells[3]) text(cells[3], p.lag < 0 ? '–' : count(p.lag));
      const bar = row.querySelector('.lag-bar span') as HTMLElement;
      bar.style.width = `${Math.max(0, Math.min(100, (100 * p.lag) / most))}%`;
    });
  }

  private drawLink(): void {
    if (!this.element.isConnected || this.element.offsetParent === null) return;
    const c = this.connection;
    text(this.linkState, c.state);
    attribute(this.linkState, 'data-state', c.state === 'connected' ? 'good' : c.state === 'disconnected' ? 'bad' : 'busy');
    this.again.hidden = c.state !== 'disconnected';
    pairs(this.link, [
      ['Since', duration(Math.round((Date.now() - c.since) / 1000) * 1000).replace('.0 s', ' s')],
      ['Session', c.client || '–'],
      ['Changes', `${c.received.perSecond.toFixed(0)}/s`],
      ['Reconnects', count(c.drops)],
      ...(c.reason ? [['Reason', `${c.reason}${c.attempts ? ` (attempt ${c.attempts})` : ''}`] as [string, string]] : []),
    ]);
    sync(this.subscriptions, c.stores, (s) => s.name, (s) => h('tr', {}, h('th', { scope: 'row' }, s.name), h('td', {}, s.kind), h('td', {}, h('span', { class: 'state' })), h('td', { class: 'number' }), h('td', { class: 'number' })), (row, s) => {
      const state = row.querySelector('.state') as HTMLElement;
      text(state, s.state);
      attribute(state, 'data-state', s.state === 'live' ? 'good' : s.state === 'unsubscribed' ? 'bad' : 'busy');
      if (s.message) state.title = s.message;
      const cells = row.children;
      if (cells[3]) text(cells[3], count(s.kind === 'log' ? s.entries.length : s.rows.size));
      if (cells[4]) text(cells[4], s.rate.perSecond.toFixed(0));
    });
  }
}

function pairs(list: HTMLElement, wanted: [string, string][]): void {
  if (list.children.length !== wanted.length) fill(list, ...wanted.map(([label, value]) => h('div', {}, h('dt', {}, label), h('dd', {}, value))));
  wanted.forEach(([label, value], i) => {
    const place = list.children[i];
    if (!place?.firstElementChild || !place.lastElementChild) return;
    text(place.firstElementChild, label);
    text(place.lastElementChild, value);
  });
}
