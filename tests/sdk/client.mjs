// The SDK of the wanted release over a WebSocket whose end can be forced (`drop`), for Node.js with or without its own WebSocket.
import WebSocket from 'ws';

export const releases = { 5.6: 'centrifuge-56', 5.7: 'centrifuge-57', 5.8: 'centrifuge' };

export async function sdkOf(release) {
  const name = releases[release];
  if (!name) throw new Error(`no SDK ${release}; there are: ${Object.keys(releases).join(' ')}`);
  return (await import(name)).Centrifuge;
}

// A WebSocket whose newest connection ends by `drop` as a broken network does: no close frame, nothing said to the SDK beforehand.
// Says whether there was one that was open or opening.
export function droppable() {
  let socket = null;
  class Socket extends WebSocket {
    constructor(address, protocols) {
      super(address, protocols);
      socket = this;
    }
  }
  const drop = () => {
    const there = socket !== null && socket.readyState <= WebSocket.OPEN;
    socket?.terminate();
    return there;
  };
  return { Socket, drop };
}

export async function connectTo(url, { sdk = '5.8', ...rest } = {}) {
  const Centrifuge = await sdkOf(sdk);
  const { Socket, drop } = droppable();
  const client = new Centrifuge(url, { websocket: Socket, name: `sdk-${sdk}`, minReconnectDelay: 50, maxReconnectDelay: 1000, ...rest });
  return { client, drop };
}

export function subscribeTo(client, table, kind, settings = {}) {
  return kind === 'map' ? client.newMapSubscription(table, settings) : client.newSubscription(table, { recoverable: true, ...settings });
}
