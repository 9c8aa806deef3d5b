#include "cli/token.hpp"

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fmt/format.h>
#include <fstream>

namespace weir::cli {
namespace {

constexpr std::size_t most_bytes = 16 << 10;
constexpr const char* variable = "WEIR_TOKEN";

// Without white space around it.
result<std::string> checked(std::string text, const std::string& problem) {
  constexpr const char* white = " \t\r\n";
  text.erase(text.find_last_not_of(white) + 1);
  text.erase(0, text.find_first_not_of(white));
  if (text.empty() || text.size() > most_bytes ||
      !std::all_of(text.begin(), text.end(), [](char c) { return c > ' ' && c < 0x7F; }))
    return fail(ec::bad_argument, problem);
  return text;
}

} // namespace

result<std::string> read_token(const std::string& file) {
  if (file.empty()) {
    const char* given = std::getenv(variable);
    return given && *given ? checked(given, fmt::format("{} has no token in it: one line of text is wanted", variable))
                           : std::string();
  }
  errno = 0;
  std::ifstream in(file, std::ios::binary);
  std::string text(most_bytes + 1, '\0');
  if (in)
    in.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (!in && in.gcount() == 0)
    return fail(ec::bad_argument, errno == 0 ? fmt::format("'{}' is empty: a token is wanted", file)
                                             : fmt::format("can't read '{}': {}", file, std::strerror(errno)));
  text.resize(static_cast<std::size_t>(in.gcount()));
  return checked(std::move(text), fmt::format("'{}' has no token in it: one line of text is wanted", file));
}

result<void> use_token(const std::string& file, http::client_options& to) {
  auto token = read_token(file);
  if (!token)
    return tl::unexpected(token.error());
  std::erase_if(to.headers, [](const auto& h) { return h.first == "Authorization"; });
  if (!token->empty())
    to.headers.emplace_back("Authorization", "Bearer " + *token);
  return {};
}

} // namespace weir::cli
