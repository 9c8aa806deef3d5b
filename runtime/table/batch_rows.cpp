#include "runtime/table/batch_rows.hpp"

#include <cstring>
#include <functional>

namespace weir::table {

namespace {

constexpr std::size_t least_cells = 64;
constexpr std::size_t kept_arena = 1 << 20;

} // namespace

std::size_t batch_rows::append(std::string_view bytes, std::size_t room) {
  const auto at = arena_.size();
  arena_.resize(at + room);
  if (!bytes.empty())
    std::memcpy(arena_.data() + at, bytes.data(), bytes.size());
  return at;
}

void batch_rows::grow() {
  std::vector<cell> wider(std::max(least_cells, cells_.size() * 2));
  for (std::size_t i = 0; i < slots_.size(); ++i) {
    auto c = slots_[i].hash & (wider.size() - 1);
    while (wider[c].generation == generation_)
      c = (c + 1) & (wider.size() - 1);
    wider[c] = {generation_, static_cast<std::uint32_t>(i)};
  }
  cells_.swap(wider);
}

batch_rows::slot& batch_rows::find_or_add(std::string_view key) {
  if ((slots_.size() + 1) * 2 > cells_.size())
    grow();
  const auto hash = std::uint64_t{std::hash<std::string_view>{}(key)};
  auto c = hash & (cells_.size() - 1);
  for (; cells_[c].generation == generation_; c = (c + 1) & (cells_.size() - 1)) {
    auto& s = slots_[cells_[c].slot];
    if (s.hash == hash && s.key_size == key.size() &&
        std::memcmp(arena_.data() + s.key_at, key.data(), key.size()) == 0)
      return s;
  }
  cells_[c] = {generation_, static_cast<std::uint32_t>(slots_.size())};
  auto& s = slots_.emplace_back();
  s.hash = hash;
  s.key_at = append(key, key.size());
  s.key_size = static_cast<std::uint32_t>(key.size());
  s.value_at = 0;
  s.value_size = s.value_room = 0;
  return s;
}

void batch_rows::put(std::string_view key, std::string_view value, std::int64_t time_ms, offset at) {
  auto& s = find_or_add(key);
  if (value.size() <= s.value_room) {
    std::memcpy(arena_.data() + s.value_at, value.data(), value.size());
  } else {
    // Some room to grow: numbers of a row gain and lose digits all the time.
    s.value_room = static_cast<std::uint32_t>(value.size() + value.size() / 8 + 8);
    s.value_at = append(value, s.value_room);
  }
  s.value_size = static_cast<std::uint32_t>(value.size());
  s.removed = false;
  s.time_ms = time_ms;
  s.at = at;
}

void batch_rows::remove(std::string_view key, std::int64_t time_ms, offset at) {
  auto& s = find_or_add(key);
  s.removed = true;
  s.value_size = 0;
  s.time_ms = time_ms;
  s.at = at;
}

std::size_t batch_rows::take(partition_id partition, std::vector<row_change>& out) {
  std::size_t bytes = 0;
  out.reserve(out.size() + slots_.size());
  for (const auto& s : slots_) {
    bytes += s.key_size + s.value_size;
    out.push_back({std::string(arena_.data() + s.key_at, s.key_size),
                   s.removed ? nullptr : std::make_shared<const std::string>(arena_.data() + s.value_at, s.value_size),
                   stamp{s.time_ms, partition, s.at}});
  }
  clear();
  return bytes;
}

void batch_rows::clear() {
  if (cells_.size() > 4096 && slots_.size() * 32 < cells_.size()) { // much larger than what batches need now
    std::vector<cell>().swap(cells_);
    std::vector<slot>().swap(slots_);
  }
  if (arena_.capacity() > kept_arena && arena_.size() * 16 < arena_.capacity())
    std::vector<char>().swap(arena_);
  slots_.clear();
  arena_.clear();
  if (++generation_ == 0) {
    cells_.assign(cells_.size(), {});
    generation_ = 1;
  }
}

} // namespace weir::table
