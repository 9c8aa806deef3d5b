// Live tables of a weir node as observable maps and lists, over the centrifuge SDK.
//
//   const weir = connect('http://127.0.0.1:8080');
//   const orders = weir.table<Order>('orders', { where: { '/site': 'north' }, maxRate: '5/s' });
//   orders.subscribe(({ changed, removed }) => draw(orders));
import { Connection } from './connection.js';
import { WeirError, type ConnectOptions } from './types.js';

export { Connection, type LinkState } from './connection.js';
export { Log, type LogSnapshot } from './log.js';
export { Table, type TableSnapshot } from './table.js';
export * from './types.js';

const path = '/connection/websocket';

/**
 * Connects to a node and stays connected: what breaks is made anew, with growing, jittered waits.
 *
 * `url`: the node's address (http, https, ws or wss; a path other than "/" is taken as that of the WebSocket); left
 * out: the host that the page came from. Throws WeirError for an address that is none, and where there is no WebSocket.
 */
export function connect(url?: string | URL, options: ConnectOptions = {}): Connection {
  const here = (globalThis as { location?: { origin?: string } }).location?.origin;
  const given = url ?? here;
  if (given === undefined) throw new WeirError('bad_url', "connect() needs the node's address, as http://127.0.0.1:8080");
  let address: URL;
  try {
    address = new URL(given, here);
  } catch {
    throw new WeirError('bad_url', `${String(given)} is no address: it looks like http://127.0.0.1:8080`);
  }
  if (!/^(https?|wss?):$/.test(address.protocol)) throw new WeirError('bad_url', `${address.protocol} is not spoken: an address begins with http, https, ws or wss`);
  address.protocol = address.protocol.replace('http', 'ws');
  if (address.pathname === '/') address.pathname = path;
  return new Connection(address.href, options);
}
