#include "runtime/batch/zone.hpp"

#include <absl/time/time.h>
#include <algorithm>
#include <fmt/format.h>

namespace weir::batch {
namespace {

class utc_zone final : public zone {
public:
  std::int64_t offset(std::int64_t) const override { return 0; }
};

class named_zone final : public zone {
public:
  explicit named_zone(absl::TimeZone zone) : zone_(zone) {}
  std::int64_t offset(std::int64_t utc_s) const override { return zone_.At(absl::FromUnixSeconds(utc_s)).offset; }

private:
  absl::TimeZone zone_;
};

// A name, and not a path out of the database.
bool is_zone_name(const std::string& name) {
  return !name.empty() && name.size() <= 64 && name.front() != '/' && name.find("..") == std::string::npos &&
         std::all_of(name.begin(), name.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '+' ||
                  c == '-' || c == '/';
         });
}

} // namespace

const zone& utc() {
  static const utc_zone it;
  return it;
}

result<std::shared_ptr<const zone>> load_zone(const std::string& name) {
  if (name == "UTC")
    return std::shared_ptr<const zone>(std::make_shared<utc_zone>());
  absl::TimeZone found;
  if (!is_zone_name(name) || !absl::LoadTimeZone(name, &found))
    return fail(ec::bad_argument, fmt::format("this machine knows no time zone '{}'", name));
  return std::shared_ptr<const zone>(std::make_shared<named_zone>(found));
}

} // namespace weir::batch
