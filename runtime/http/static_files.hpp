// Files embedded in the binary: the dashboard.
#pragma once

#include "runtime/http/server.hpp"

#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace weir::http {

struct asset {
  std::string_view path; // "/index.html"
  std::string_view content_type;
  std::string_view bytes;
  bool immutable = false; // its name carries a hash of its content: browsers keep it for a year
};

// Generated from web/ at build time (target weir_dashboard); empty where the dashboard was left out.
std::span<const asset> dashboard_assets();

// Thread-safe after construction; the assets must outlive it.
class static_files {
public:
  explicit static_files(std::span<const asset> assets);

  // Nothing: no such file. "/" is /index.html. 304 when If-None-Match holds the file's ETag; 405 for methods other than
  // GET and HEAD. The server leaves out the body of answers to HEAD.
  std::optional<response> find(const request& r) const;

private:
  struct entry {
    const asset* file;
    std::string etag;
  };
  std::map<std::string, entry, std::less<>> entries_;
};

} // namespace weir::http
