#include "cli/commands.hpp"
#include "runtime/config/values.hpp"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <map>
#include <string_view>
#include <vector>
#include <weir/program.hpp>

namespace weir {
namespace {

const std::map<std::string, log::format> formats{{"text", log::format::text}, {"json", log::format::json}};
const std::map<std::string, log::level> levels{
    {"debug", log::level::debug}, {"info", log::level::info}, {"warn", log::level::warn}, {"error", log::level::error}};

void add_logging(CLI::App& to, log::format& format, log::level& level) {
  to.add_option("--log-format", format, "text or json")
      ->transform(CLI::CheckedTransformer(formats).description(""))
      ->option_text("text|json");
  to.add_option("--log-level", level, "debug, info, warn or error")
      ->transform(CLI::CheckedTransformer(levels).description(""))
      ->option_text("LEVEL");
}

void add_sets(CLI::App& to, std::vector<std::string>& sets) {
  to.add_option("--set", sets, "Override one value: path.to.key=value, or /json/pointer=value; may be repeated")
      ->option_text("PATH=VALUE")
      ->allow_extra_args(false);
}

void add_token(CLI::App& to, std::string& file) {
  to.add_option("--token-file", file,
                "File with the token to show, read for each connection; without it the variable WEIR_TOKEN")
      ->option_text("FILE");
}

} // namespace

int program(int argc, char** argv, ext::extensions extensions) {
  const auto steps = std::make_shared<const ext::extensions>(std::move(extensions));
  CLI::App app{"weir: Kafka topics in, live tables in Redis, every change pushed to web clients"};
  app.set_version_flag("--version", "weir " WEIR_VERSION);
  app.require_subcommand(1);
  app.footer("Exit codes: 0 done, 64 wrong usage, 69 not reachable, 70 internal, 71 system, 78 wrong topology.");

  cli::run_options run;
  run.extensions = steps;
  auto* run_command = app.add_subcommand("run", "Start a node with a topology file");
  run_command->add_option("file", run.file, "The topology file")->required()->option_text("FILE");
  add_sets(*run_command, run.sets);
  run_command->add_option("--roles", run.roles, "What this node does: ingest, gateway, batch; default all")
      ->delimiter(',')
      ->option_text("ROLE,...");
  run_command->add_option("--name", run.name, "The node's name, for people; default: the host's name")
      ->option_text("NAME");
  add_logging(*run_command, run.format, run.level);

  cli::check_options check;
  check.extensions = steps;
  auto* check_command = app.add_subcommand("check", "Check a topology file and report every problem");
  check_command->add_option("file", check.file, "The topology file")->required()->option_text("FILE");
  add_sets(*check_command, check.sets);
  check_command->add_flag("--connect", check.connect, "Also try to reach Kafka and Redis");

  auto* schema_command = app.add_subcommand("schema", "Print the JSON Schema of topology files");

  std::string graph_file, graph_format = "mermaid";
  std::vector<std::string> graph_sets;
  auto* graph_command = app.add_subcommand("graph", "Print the topology as a graph");
  graph_command->add_option("file", graph_file, "The topology file")->required()->option_text("FILE");
  graph_command->add_option("--format", graph_format, "mermaid or dot")
      ->check(CLI::IsMember({"mermaid", "dot"}))
      ->option_text("mermaid|dot");
  add_sets(*graph_command, graph_sets);

  cli::demo_options demo;
  auto* demo_command = app.add_subcommand("demo", "Watch this machine's own load, on embedded Kafka and Redis");
  demo_command->add_option("--listen", demo.listen, "Address and port of the page; default 127.0.0.1:8080")
      ->option_text("HOST:PORT");
  add_sets(*demo_command, demo.sets);
  add_logging(*demo_command, demo.format, demo.level);

  cli::status_options status;
  auto* status_command = app.add_subcommand("status", "Show a node's partitions, tables, jobs and sessions");
  status_command->add_option("url", status.url, "The node's address, as http://127.0.0.1:8080")
      ->required()
      ->option_text("URL");
  status_command->add_flag("--watch", status.watch, "Refresh every second");
  status_command->add_flag("--json", status.json, "Print JSON");
  status_command->add_option("--ca", status.ca_file, "PEM file of the authority to trust")->option_text("FILE");
  add_token(*status_command, status.token_file);

  cli::health_options health;
  std::uint32_t health_seconds = 3;
  auto* health_command =
      app.add_subcommand("health", "Ask a node whether it is well: exit code 0, or 69 and the reason");
  health_command->add_option("url", health.url, "The node's address; default http://127.0.0.1:8080")
      ->option_text("URL");
  health_command->add_flag("--ready", health.ready, "Whether it is ready, and not only alive");
  health_command->add_option("--timeout", health_seconds, "Seconds to wait for the answer, 1 to 60; default 3")
      ->check(CLI::Range(1, 60).description(""))
      ->option_text("SECONDS");
  health_command->add_option("--ca", health.ca_file, "PEM file of the authority to trust")->option_text("FILE");
  health_command->add_flag("--insecure", health.insecure, "Do not check the certificate: a node asking itself");

  cli::tail_options tail;
  auto* tail_command =
      app.add_subcommand("tail", "Subscribe to a table and print its rows and changes; goes on after a break");
  tail_command->add_option("url", tail.url, "The node's address, as http://127.0.0.1:8080")
      ->required()
      ->option_text("URL");
  tail_command->add_option("table", tail.table, "The table's name")->required()->option_text("TABLE");
  tail_command->add_option("--key", tail.key, "Only the row with this key")->option_text("KEY");
  tail_command
      ->add_option("--where", tail.where,
                   R"(Only rows that meet this condition, as '{"/site":"north","/cpu":{"gt":90}}')")
      ->option_text("JSON");
  tail_command
      ->add_option("--rate", tail.rate, "At most so many messages, as 2/s or 30/m; rows come with their newest value")
      ->option_text("N/UNIT");
  tail_command->add_flag("--json", tail.json, "One JSON object a line");
  tail_command->add_option("--count", tail.count, "End after so many lines")->option_text("N");
  std::uint32_t tail_wait = static_cast<std::uint32_t>(tail.start_time.count());
  tail_command
      ->add_option("--wait", tail_wait, "Seconds to wait for a node that is not ready yet, 0 to 3600; default 60")
      ->check(CLI::Range(0, 3600).description(""))
      ->option_text("SECONDS");
  tail_command->add_option("--ca", tail.ca_file, "PEM file of the authority to trust")->option_text("FILE");
  add_token(*tail_command, tail.token_file);

  cli::jobs_options jobs;
  auto* jobs_command = app.add_subcommand("jobs", "Look at a node's jobs, run them, stop and restart executions");
  jobs_command->add_option("url", jobs.url, "The node's address, as http://127.0.0.1:8080")
      ->required()
      ->option_text("URL");
  jobs_command->require_subcommand(1);
  struct verb {
    const char *name, *does;
    CLI::App* command = nullptr;
  };
  verb verbs[] = {{"list", "All jobs: trigger, last execution, next fire time"},
                  {"show", "One job: the execution under way and the last one"},
                  {"history", "Its executions, newest first"},
                  {"run", "Run it now and wait for the end; exit code 70 if it FAILED"},
                  {"stop", "Stop the execution under way; restart goes on from its checkpoints"},
                  {"restart", "Start the newest execution again, which FAILED or was STOPPED, from its checkpoints"},
                  {"abandon", "End the newest execution for good"}};
  for (auto& v : verbs) {
    const std::string_view name = v.name;
    v.command = jobs_command->add_subcommand(v.name, v.does);
    if (name != "list")
      v.command->add_option("job", jobs.job, "The job's name")->required()->option_text("JOB");
    if (name == "run" || name == "restart")
      v.command->add_flag("--no-wait", jobs.no_wait, "Do not wait for its end");
    if (name == "run")
      v.command->add_option("--param", jobs.parameters, "A parameter of this run; may be given several times")
          ->option_text("NAME=VALUE");
    if (name == "history")
      v.command->add_option("--limit", jobs.limit, "At most so many, 1 to 1000; default 20")
          ->check(CLI::Range(1, 1000).description(""))
          ->option_text("N");
    v.command->add_flag("--json", jobs.json, "Print JSON");
    v.command->add_option("--ca", jobs.ca_file, "PEM file of the authority to trust")->option_text("FILE");
    add_token(*v.command, jobs.token_file);
  }

  if (argc > 1 && argv[1][0] != '-') {
    const std::string_view word = argv[1];
    std::vector<std::string_view> names;
    for (const auto* command : app.get_subcommands({}))
      names.emplace_back(command->get_name());
    if (std::find(names.begin(), names.end(), word) == names.end()) {
      const auto near = nearest(word, names);
      fmt::print(stderr, "weir: there is no command '{}'{}\nThere are {}; run with --help for more information.\n",
                 word, near ? fmt::format("; did you mean '{}'?", *near) : "", fmt::join(names, ", "));
      return cli::exit_usage;
    }
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    // Help and version are no errors; everything else is the usage's.
    return app.exit(e) == 0 ? cli::exit_ok : cli::exit_usage;
  }
  try {
    if (*run_command)
      return cli::run(run);
    if (*check_command)
      return cli::check(check);
    if (*schema_command)
      return cli::schema();
    if (*graph_command)
      return cli::graph(graph_file, graph_sets, graph_format, steps.get());
    if (*demo_command)
      return cli::demo(demo);
    if (*status_command)
      return cli::status(status);
    if (*health_command) {
      if (health.url.empty())
        health.url = "http://127.0.0.1:8080";
      health.deadline = std::chrono::seconds{health_seconds};
      return cli::health(health);
    }
    if (*jobs_command) {
      for (const auto& v : verbs)
        if (*v.command)
          jobs.verb = v.name;
      return cli::jobs(jobs);
    }
    if (*tail_command) {
      tail.start_time = std::chrono::seconds{tail_wait};
      return cli::tail(tail);
    }
  } catch (const std::exception& e) {
    fmt::print(stderr, "weir: {}\n", e.what());
    return cli::exit_software;
  }
  return cli::exit_usage;
}

} // namespace weir
