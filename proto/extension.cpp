#include <algorithm>
#include <utility>
#include <weir/extension.hpp>

namespace weir::ext {

namespace {

constexpr std::size_t longest_name = 64;

template <class T>
void add(std::map<std::string, T, std::less<>>& to, std::string_view what, std::string name, T part, bool made) {
  const auto fits = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-'; };
  if (name.empty() || name.size() > longest_name || name.front() < 'a' || name.front() > 'z' ||
      !std::all_of(name.begin(), name.end(), fits))
    throw std::invalid_argument("'" + name + "' is no name for a " + std::string(what) +
                                "; use a-z, 0-9, - and _, a letter first, at most 64");
  if (!made)
    throw std::invalid_argument("the " + std::string(what) + " '" + name + "' has no factory");
  if (!to.emplace(name, std::move(part)).second)
    throw std::invalid_argument("a second " + std::string(what) + " named '" + name + "'");
}

} // namespace

extensions& extensions::add_reader(std::string name, make_reader make, std::size_t shares) {
  if (shares < 1 || shares > most_shares)
    throw std::invalid_argument("the reader '" + name + "' is to have 1 to 64 shares");
  const bool made = static_cast<bool>(make);
  add(readers_, "reader", std::move(name), reader_entry{std::move(make), shares}, made);
  return *this;
}

extensions& extensions::add_processor(std::string name, make_processor make) {
  const bool made = static_cast<bool>(make);
  add(processors_, "processor", std::move(name), std::move(make), made);
  return *this;
}

extensions& extensions::add_writer(std::string name, make_writer make) {
  const bool made = static_cast<bool>(make);
  add(writers_, "writer", std::move(name), std::move(make), made);
  return *this;
}

} // namespace weir::ext
