#include "runtime/http/static_files.hpp"

#include <fmt/format.h>

namespace weir::http {
namespace {

// FNV-1a, 64 bits: tells versions of a file apart; nothing rests on it being hard to forge.
std::uint64_t digest(std::string_view bytes) {
  std::uint64_t h = 14695981039346656037ull;
  for (const char c : bytes)
    h = (h ^ static_cast<unsigned char>(c)) * 1099511628211ull;
  return h;
}

// If-None-Match is "*" or a list of tags, each perhaps weak: W/"..."; compared weakly (RFC 9110, 13.1.2).
bool matches(std::string_view list, std::string_view etag) {
  while (!list.empty()) {
    const auto comma = list.find(',');
    auto item = list.substr(0, comma);
    while (!item.empty() && (item.front() == ' ' || item.front() == '\t'))
      item.remove_prefix(1);
    while (!item.empty() && (item.back() == ' ' || item.back() == '\t'))
      item.remove_suffix(1);
    if (item.starts_with("W/"))
      item.remove_prefix(2);
    if (item == "*" || item == etag)
      return true;
    if (comma == std::string_view::npos)
      break;
    list.remove_prefix(comma + 1);
  }
  return false;
}

} // namespace

static_files::static_files(std::span<const asset> assets) {
  for (const auto& file : assets) {
    std::string path(file.path.starts_with('/') ? file.path.substr(1) : file.path);
    entries_.insert_or_assign(std::move(path),
                              entry{&file, fmt::format("\"{:016x}-{:x}\"", digest(file.bytes), file.bytes.size())});
  }
}

std::optional<response> static_files::find(const request& r) const {
  std::string path;
  for (const auto& segment : r.segments) {
    if (segment.find('/') != std::string::npos) // "a%2Fb" is not "a/b"
      return {};
    path += path.empty() && &segment == &r.segments.front() ? segment : "/" + segment;
  }
  const auto found = entries_.find(path.empty() ? std::string_view{"index.html"} : std::string_view{path});
  if (found == entries_.end())
    return {};
  if (r.method != "GET" && r.method != "HEAD") {
    auto refused = error_response(405, "bad_argument", "files are read with GET or HEAD", r.path);
    refused.headers.emplace_back("Allow", "GET, HEAD");
    return refused;
  }
  const auto& [file, etag] = found->second;
  response answer;
  answer.content_type = file->content_type;
  answer.headers.emplace_back("ETag", etag);
  answer.headers.emplace_back("Cache-Control", file->immutable ? "public, max-age=31536000, immutable" : "no-cache");
  const auto condition = r.headers.find("if-none-match");
  if (condition != r.headers.end() && matches(condition->second, etag))
    answer.status = 304;
  else
    answer.body = file->bytes;
  return answer;
}

} // namespace weir::http
