// The keys of a node: those of the topology, and those of a JWKS file that may change while the node runs.
#pragma once

#include "proto/topology.hpp"
#include "runtime/auth/key_set.hpp"

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

namespace weir::auth {

// What became of a changed file.
struct reloaded {
  std::string problem;              // not empty: the file is bad or gone, and the keys are those of before
  std::size_t keys = 0;             // in use now
  std::vector<std::string> skipped; // keys of the file that are for something else
};

// Any thread.
class key_ring {
public:
  // Fails with ec::bad_topology: a key that is broken or weak, a file that can't be read or has none of use.
  static result<std::shared_ptr<key_ring>> make(const jwt_config& config);

  std::shared_ptr<const key_set> current() const;
  // Another number, another set of keys.
  std::uint64_t generation() const { return generation_.load(std::memory_order_acquire); }
  bool has_file() const { return !config_.jwks_file.empty(); }
  // Looks whether the file is another one (by its time, size and inode), and reads it if so: about once a second.
  // Nothing where it is the same, so a bad file is told once. Blocks on the file system.
  std::optional<reloaded> reload();

private:
  struct file_mark {
    std::int64_t seconds = 0, nanoseconds = 0, size = -1;
    std::uint64_t inode = 0;
    bool operator==(const file_mark&) const = default;
  };

  explicit key_ring(const jwt_config& config) : config_(config) {}
  static file_mark mark_of(const std::string& path);
  result<std::vector<std::string>> read(); // the skipped; `keys_` is changed only on success

  const jwt_config config_;
  std::atomic<std::uint64_t> generation_{0};
  mutable std::mutex mutex_; // guards keys_
  std::shared_ptr<const key_set> keys_;
  std::mutex reload_mutex_; // guards seen_
  file_mark seen_;
};

// One key of the topology. ec::bad_topology.
result<key> make_key(const jwt_key_config& config);
// Reads a file of at most `limit` bytes. ec::io, with the reason.
result<std::string> read_file(const std::string& path, std::size_t limit);

} // namespace weir::auth
