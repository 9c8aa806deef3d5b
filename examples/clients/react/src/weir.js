// weir-client for React: a table as a hook. Components that ask for the same share one subscription, which ends with the last.
import { useCallback, useRef, useSyncExternalStore } from 'react';

const nothing = Object.freeze({ entries: Object.freeze([]), stale: false, error: undefined, freshness: undefined, conflated: 0 });

export function useTable(weir, name, options = {}) {
  const asked = JSON.stringify(options); // equal options are the same subscription, whichever objects they are
  const held = useRef(null);
  const subscribe = useCallback((changed) => {
    const table = weir.table(name, JSON.parse(asked));
    held.current = table;
    const stop = table.subscribe(changed);
    return () => {
      stop();
      table.close();
    };
  }, [weir, name, asked]);
  // The same object until something changed, so React draws a frame of the node's once.
  return useSyncExternalStore(subscribe, () => held.current?.snapshot() ?? nothing, () => nothing);
}
