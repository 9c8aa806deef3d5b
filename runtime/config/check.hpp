// Walks a document into a topology, collecting everything that is wrong. Internal to runtime/config.
#pragma once

#include "runtime/config/document.hpp"
#include "runtime/config/keys.hpp"
#include "runtime/config/load.hpp"

#include <array>
#include <map>
#include <span>

namespace weir::config {

// A value and its JSON Pointer.
struct spot {
  node* value = nullptr;
  std::string pointer;
  explicit operator bool() const { return value != nullptr; }
};

enum class step_kind { reader, processor, writer };

class checker {
public:
  checker(std::string file, const load_options& options, std::vector<problem>& problems, topology& out)
      : file_(std::move(file)), options_(options), problems_(problems), out_(out) {}

  void run(node& root);

private:
  // check.cpp: what all parts share
  void report(const node& n, const std::string& pointer, std::string what, std::string remedy = "");
  void report(const spot& s, std::string what, std::string remedy = "") {
    report(*s.value, s.pointer, std::move(what), std::move(remedy));
  }
  void report_name(const member& m, const std::string& pointer, std::string what, std::string remedy = "");
  void missing(const spot& s, std::string_view name, std::string_view example);
  bool object(const spot& s, std::string_view what);
  // Calls f(name, spot) for each member of that object whose name is in `keys`; the others are problems.
  void each(const spot& s, std::span<const key> keys, const std::function<void(std::string_view, spot)>& f);
  // Calls f(member, spot) for each member, whatever its name.
  void each_named(const spot& s, const std::function<void(member&, spot)>& f);
  void later(const spot& s, std::string what) { out_.unavailable.push_back({s.pointer, std::move(what)}); }

  std::optional<std::string> text(const spot& s);
  std::optional<std::string> secret(const spot& s); // text or {"file": path}
  std::optional<std::uint64_t> whole(const spot& s, std::uint64_t least, std::uint64_t most);
  std::optional<bool> truth(const spot& s);
  std::optional<duration> time_span(const spot& s, duration least = duration{1});
  std::optional<std::uint64_t> size(const spot& s, std::uint64_t least, std::uint64_t most);
  std::optional<std::string> pointer(const spot& s, bool whole_record);
  std::optional<std::string> topic(const spot& s);
  std::optional<std::size_t> choice(const spot& s, std::string_view what, std::span<const std::string_view> choices);
  condition where(const spot& s, const std::map<std::string, scalar>* parameters = nullptr);
  void parameters(job_config& j, const spot& s);
  std::string near(std::string_view word, std::span<const std::string_view> candidates,
                   std::string_view otherwise = "") const;
  std::optional<std::string> file_path(const spot& s); // resolved, and readable

  // check_parts.cpp: kafka, redis, http, sources
  void kafka(const spot& s);
  void kafka_property(const member& m, const spot& s, void* conf);
  void redis(const spot& s);
  void redis_url(const spot& s);
  void http(const spot& s);
  void listen(const spot& s);
  void origin(const spot& s);
  void auth(const spot& s);
  void jwt(const spot& s);
  void jwt_key(const spot& s);
  void tls(const spot& s);
  void limits(const spot& s);
  void source(const member& m, const spot& s);

  // check_tables.cpp: tables and jobs
  void table(const member& m, const spot& s);
  void kind_rules(const spot& s, const table_config& t, const std::map<std::string, spot>& given);
  void job_table_rules(const table_config& t, const std::map<std::string, spot>& given);
  void job(const member& m, const spot& s);
  void read(job_config& j, const spot& s);
  void write(job_config& j, const spot& s);
  void after(const std::string& job, const spot& s);
  void trigger_rules(const job_config& j, const spot& s, const std::map<std::string, spot>& given);

  // check_fields.cpp: what tables and jobs compute
  std::vector<aggregate_field> fields(const spot& s, bool of_job);
  void field(const std::string& name, const spot& s, bool of_job, std::vector<aggregate_field>& out);
  std::vector<std::string> group_by(const spot& s);
  void derive(job_config& j, const spot& s);

  // check_steps.cpp: steps that the program brings
  custom_step step(const spot& s, step_kind kind);

  // references.cpp: what one part says of another
  void references();
  void table_source(const table_config& t);
  void job_tables(const job_config& j);
  void dead_letters();
  void job_dead_letters();
  void job_cycles();
  void node_rules();
  void access_rules();

  std::string file_;
  const load_options& options_;
  std::vector<problem>& problems_;
  topology& out_;
  // Where things stood, for what can be said only at the end: {"tables", T, "from"}, {"jobs", J, ""}, {"redis", "",
  // "url"}, ...
  std::map<std::array<std::string, 3>, spot> seen_;
  std::map<std::string, std::vector<std::pair<std::string, spot>>> after_; // job -> the jobs it comes after
};

} // namespace weir::config
