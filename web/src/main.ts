import './style.css';
import { poll, type JobInfo, type NodeInfo, type TableInfo } from './api';
import { Connection } from './connection';
import { announce, attribute, fill, h, icon, text } from './dom';
import { HealthView } from './health';
import { JobsView } from './jobs';
import { LogView } from './log';
import { Overview } from './overview';
import { TablesView } from './tables';
import { onToken, tokenForm } from './token';
import { chosen, next, type Theme } from './theme';

const connection = new Connection(`${location.protocol === 'https:' ? 'wss' : 'ws'}://${location.host}/connection/websocket`);
const overview = new Overview(connection);
const tables = new TablesView(connection);
const log = new LogView(connection);
const jobs = new JobsView(() => askJobs());
const health = new HealthView(connection);

interface Page {
  id: string;
  label: string;
  element: HTMLElement;
  show?: (seen: boolean) => void;
}
const pages: Page[] = [
  { id: 'overview', label: 'Overview', element: overview.element, show: (seen) => seen && overview.restyle() },
  { id: 'tables', label: 'Tables', element: tables.element, show: (seen) => tables.show(seen) },
  { id: 'log', label: 'Log', element: log.element, show: (seen) => log.show(seen) },
  { id: 'jobs', label: 'Jobs', element: jobs.element },
  { id: 'health', label: 'Health', element: health.element },
];

// ---- tabs: one stop of the Tab key, arrows between them ----
const list = h('div', { class: 'tabs', role: 'tablist', 'aria-label': 'Sections' });
const main = document.getElementById('main') as HTMLElement;
main.append(tokenForm);
const tabs = pages.map((page) => {
  const tab = h('button', { type: 'button', role: 'tab', id: `tab-${page.id}`, 'aria-controls': `panel-${page.id}`, onclick: () => open(page.id) }, page.label);
  list.append(tab);
  main.append(h('div', { role: 'tabpanel', id: `panel-${page.id}`, 'aria-labelledby': `tab-${page.id}`, tabindex: -1, hidden: true }, page.element));
  return tab;
});
let current = '';

function open(id: string): void {
  const page = pages.find((p) => p.id === id) ?? pages[0];
  if (!page || page.id === current) return;
  const before = pages.find((p) => p.id === current);
  current = page.id;
  pages.forEach((p, i) => {
    const here = p === page;
    const tab = tabs[i];
    if (tab) {
      attribute(tab, 'aria-selected', String(here));
      tab.tabIndex = here ? 0 : -1;
    }
    const panel = document.getElementById(`panel-${p.id}`);
    if (panel) panel.hidden = !here;
  });
  before?.show?.(false);
  page.show?.(true);
  document.title = `${page.label} · weir`;
  if (location.hash.slice(1) !== page.id) history.replaceState(null, '', `#${page.id}`);
}

list.addEventListener('keydown', (event) => {
  const at = tabs.indexOf(document.activeElement as HTMLButtonElement);
  const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: tabs.length - 1 }[event.key];
  if (at < 0 || to === undefined) return;
  event.preventDefault();
  const tab = tabs[(to + tabs.length) % tabs.length];
  tab?.focus();
  tab?.click();
});
window.addEventListener('hashchange', () => {
  const id = location.hash.slice(1);
  if (pages.some((page) => page.id === id)) open(id);
});
// The hash names the open section, so the skip link moves the focus itself.
document.querySelector('.skip')?.addEventListener('click', (event) => {
  event.preventDefault();
  main.focus();
});

// ---- the bar ----
const state = h('span', { class: 'link', id: 'connection', role: 'status' }, h('span', { class: 'dot', 'aria-hidden': 'true' }), h('span', { class: 'said' }));
const node = h('span', { class: 'node-name' });
const themes: Record<Theme, [string, string]> = {
  system: ['follows the system', 'M4 5h16v11H4z M9 20h6 M12 16v4'],
  light: ['light', 'M12 8a4 4 0 1 0 0 8a4 4 0 1 0 0-8 M12 2v2 M12 20v2 M2 12h2 M20 12h2 M4.900 4.900l1.400 1.400 M17.700 17.700l1.400 1.400 M4.900 19.100l1.400-1.400 M17.700 6.300l1.400-1.400'],
  dark: ['dark', 'M20 14.500A8.500 8.500 0 0 1 9.500 4a8.500 8.500 0 1 0 10.500 10.500z'],
};
const themeButton = h('button', { type: 'button', class: 'button quiet theme', id: 'theme' });
function showTheme(theme: Theme): void {
  const [label, path] = themes[theme];
  attribute(themeButton, 'aria-label', `Colours: ${label}. Change`);
  attribute(themeButton, 'title', `Colours: ${label}`);
  fill(themeButton, icon(path));
}
themeButton.addEventListener('click', () => {
  const theme = next(chosen());
  showTheme(theme);
  overview.restyle();
  announce(`Colours: ${themes[theme][0]}`);
});
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => overview.restyle());
showTheme(chosen());

const bar = document.getElementById('bar') as HTMLElement;
bar.append(
  h('a', { class: 'brand', href: '#overview', 'aria-label': 'weir, overview' }, icon('M3 8c3-2.700 6-2.700 9 0s6 2.700 9 0 M3 13c3-2.700 6-2.700 9 0s6 2.700 9 0 M3 18c3-2.700 6-2.700 9 0s6 2.700 9 0'), h('span', {}, 'weir')),
  node, list, state, themeButton);

const words = { connecting: 'Connecting', reconnecting: 'Reconnecting', connected: 'Live', disconnected: 'Disconnected' };
function showLink(): void {
  const said = state.querySelector('.said');
  attribute(state, 'data-state', connection.state);
  attribute(state, 'title', connection.reason || words[connection.state]);
  if (said) text(said, words[connection.state]);
}
connection.listeners.add(showLink);
showLink();

// ---- REST ----
const askTables = poll<{ tables: TableInfo[] }>('/api/v1/tables', 4000, (answer) => {
  const found = answer.tables ?? [];
  overview.update(found);
  tables.update(found);
  log.update(found);
}, () => undefined);
const askJobs = poll<{ jobs: JobInfo[] }>('/api/v1/jobs', 2000, (answer) => jobs.update(answer.jobs ?? []), (message) => jobs.failed(message));
const askNodes = poll<{ nodes: NodeInfo[] }>('/api/v1/nodes', 2000, (answer) => {
  const nodes = answer.nodes ?? [];
  overview.nodes(nodes);
  health.update(nodes);
  const notReady = nodes.filter((n) => n.ready === false).length;
  text(node, nodes.length === 1 ? (nodes[0]?.name ?? '') : nodes.length ? `${nodes.length} nodes` : '');
  node.classList.toggle('waits', notReady > 0);
  node.title = notReady ? `${notReady} not ready` : '';
}, (message) => health.failed(message));

onToken(() => {
  for (const again of [askTables, askJobs, askNodes]) again();
});
open(location.hash.slice(1) || 'overview');
connection.connect();
