// What `weir demo` knows of its machine: the cores, and the busiest processes.
import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';
import { connect } from 'weir-client';
import { useTable } from './weir.js';

const node = new URLSearchParams(location.search).get('node') ?? 'http://127.0.0.1:8080';
const weir = connect(node, { linger: 1000 }); // components that go and come at once keep the subscription

function Cores() {
  const cores = useTable(weir, 'metrics', { where: { '/kind': 'cpu' }, maxRate: '2/s', tags: true });
  if (cores.error) return <p role="alert">{cores.error.message}</p>;
  return (
    <section>
      <h2>Cores</h2>
      <p role="status">{cores.stale ? 'Reconnecting' : cores.freshness === undefined ? 'Live' : `${cores.freshness} ms old when sent`}</p>
      <table className={cores.stale ? 'stale' : ''}>
        <tbody>{cores.entries.map(([key, core]) => <tr key={key}><td>{core.name}</td><td>{core.busy.toFixed(0)} %</td></tr>)}</tbody>
      </table>
    </section>
  );
}

function Processes({ most }) {
  const { entries, stale } = useTable(weir, 'processes', { maxRate: '2/s' });
  const busiest = [...entries].sort(([, a], [, b]) => b.cpu - a.cpu).slice(0, most);
  return (
    <section>
      <h2>Processes</h2>
      <table className={stale ? 'stale' : ''}>
        <tbody>{busiest.map(([key, row]) => <tr key={key}><td>{row.name}</td><td>{row.cpu.toFixed(1)} %</td><td>{row.rss_mb.toFixed(0)} MB</td></tr>)}</tbody>
      </table>
    </section>
  );
}

createRoot(document.getElementById('root')).render(<StrictMode><h1>This machine</h1><Cores /><Processes most={15} /></StrictMode>);
