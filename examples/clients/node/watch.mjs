// Follows the cores of the machine that `weir demo` watches, and the log of their past.
//
//   node watch.mjs [http://127.0.0.1:8080] [LINES]
//
// Ends after LINES lines, if given.
import { connect } from 'weir-client';

// Node.js 22 and newer have a WebSocket of their own; before, it is that of the package ws.
const WebSocket = globalThis.WebSocket ?? (await import('ws')).default;
const weir = connect(process.argv[2] ?? 'http://127.0.0.1:8080', { WebSocket });
const most = Number(process.argv[3] ?? Infinity);
let lines = 0;

const print = (text) => {
  if (lines++ < most) console.log(text);
  if (lines === most) weir.close();
};

weir.subscribe(({ state, error }) => console.error(state, error?.message ?? ''));

const cores = weir.table('metrics', { where: { '/kind': 'cpu' }, maxRate: '1/s', tags: true });
const history = weir.log('history', { limit: 1000, history: 20 });
try {
  await Promise.all([cores.ready, history.ready]);
} catch (error) {
  console.error(`${error.code}: ${error.message}`);
  process.exit(1);
}

print(`${history.size} entries of the past, ${cores.size} cores`);
cores.subscribe(({ changed, conflated }) => {
  if (!changed.size) return; // the state changed
  const busy = [...cores.values()].map((core) => `${core.name} ${core.busy.toFixed(0)} %`).join('  ');
  print(`${busy}${cores.freshness === undefined ? '' : `  ${cores.freshness} ms old`}${conflated ? `, ${conflated} left out` : ''}`);
});
