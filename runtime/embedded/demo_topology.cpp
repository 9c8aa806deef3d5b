#include "runtime/embedded/demo_topology.hpp"

namespace weir::embedded {

std::string demo_topology() {
  return R"json({
  // This machine's own load through the whole path, on embedded parts.
  "topology": "demo",

  "kafka": { "brokers": "embedded" },
  "redis": { "url": "embedded" },

  "sources": {
    "machine":   { "topic": "machine" },
    "processes": { "topic": "processes" }
  },

  "tables": {
    // What each core, disk, network link, ... does at present.
    "metrics":    { "from": "machine", "kind": "latest" },
    // The busiest processes; a tombstone takes one away, the ttl those of a feed that was killed.
    "processes":  { "from": "processes", "kind": "latest", "ttl": "1m" },
    // Since the start, by kind of thing.
    "by_kind":    { "from": "machine", "kind": "aggregate", "key": "/kind",
                    "fields": { "n": "count", "busy_avg": { "avg": "/busy" }, "busy_max": { "max": "/busy" } } },
    // The cores' last quarter of an hour.
    "history":    { "from": "machine", "kind": "log", "time": "/ts", "where": { "/kind": "cpu" },
                    "keep": { "age": "15m", "count": 20000 } },
    // Written by the job.
    "cpu_minute": { "from": "job:rollup", "kind": "latest" }
  },

  "jobs": {
    "rollup": { "every": "5s",
                "read": { "table": "history", "last": "1m" },
                "group_by": "/name",
                "fields": { "n": "count", "busy_avg": { "avg": "/busy" }, "busy_max": { "max": "/busy" } },
                "write": { "table": "cpu_minute" } }
  }
}
)json";
}

} // namespace weir::embedded
