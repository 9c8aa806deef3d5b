// Takes the dashboard's place in builds without it.
#include "runtime/http/static_files.hpp"

namespace weir::http {
namespace {

constexpr std::string_view page = R"(<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>weir</title>
<h1>weir is running</h1>
<p>This binary was built without the dashboard. To have it, install npm (<code>scripts/setup</code> does) and configure
with <code>-DWEIR_WEB=ON</code>: <code>cmake --preset release -DWEIR_WEB=ON</code>, then <code>scripts/build</code>.</p>
<p>The rest is there: <a href="/api/v1/tables">tables</a>, <a href="/api/v1/jobs">jobs</a>, <a href="/api/v1/nodes">nodes</a>,
<a href="/metrics">metrics</a>.</p>
</html>
)";

} // namespace

std::span<const asset> dashboard_assets() {
  static const asset assets[] = {asset{"/index.html", "text/html; charset=utf-8", page, false}};
  return assets;
}

} // namespace weir::http
