// Custom steps: how a program registers them, and how a topology names them.
#include "tests/unit/config/fixture.hpp"

#include <gmock/gmock.h>
#include <stdexcept>
#include <weir/extension.hpp>

namespace weir::config_test {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

ext::extensions some_steps() {
  ext::extensions all;
  all.add_processor("enrich", [](const ext::execution&) { return nullptr; })
      .add_processor("translate", [](const ext::execution&) { return nullptr; })
      .add_reader(
          "csv", [](const ext::execution&, const ext::share&) { return nullptr; }, 4)
      .add_writer("files", [](const ext::execution&) { return nullptr; });
  return all;
}

loaded load_job(const std::string& job, const ext::extensions* steps) {
  auto options = with({});
  options.extensions = steps;
  return load_topology_text(R"({"topology": "x", "sources": {"s": {"topic": "in"}},
    "tables": {"t": {"from": "s", "kind": "latest"}}, "jobs": {"j": {"on": "demand", "fields": {"n": "count"}, )" +
                                job + "}}}",
                            "t", options);
}

std::vector<std::string> problems_of(const std::string& job, bool registered = true) {
  const auto steps = some_steps();
  std::vector<std::string> out;
  for (const auto& p : load_job(job, registered ? &steps : nullptr).problems)
    out.push_back(p.pointer + ": " + p.what + "; " + p.remedy);
  return out;
}

constexpr auto all_three = R"("reader": {"name": "csv", "config": {"file": "a.csv", "n": [1, 2.5, true, null]}},
  "processor": "enrich", "write": {"custom": {"name": "files"}})";

TEST(custom_steps, are_taken_by_name_or_with_a_config) {
  const auto steps = some_steps();
  const auto result = load_job(all_three, &steps);
  ASSERT_TRUE(result.ok()) << joined(result.problems);
  const auto& j = result.value.jobs.at("j");
  EXPECT_EQ(j.reader.name, "csv");
  EXPECT_EQ(j.reader.config, R"({"file":"a.csv","n":[1,2.5,true,null]})");
  EXPECT_EQ(j.processor.name, "enrich");
  EXPECT_EQ(j.processor.config, "{}");
  EXPECT_EQ(j.writer.name, "files");
}

TEST(custom_steps, that_the_program_does_not_register_are_refused_with_those_that_it_does) {
  EXPECT_THAT(problems_of(R"("read": "t", "processor": "enrch", "write": {"custom": "enrich"})"),
              ElementsAre("/jobs/j/processor: unknown processor 'enrch'; did you mean 'enrich'? this program has: "
                          "enrich, translate",
                          "/jobs/j/write/custom: unknown writer 'enrich'; this program has: files"));
  const auto stock = problems_of(all_three, false);
  ASSERT_EQ(stock.size(), 3u);
  EXPECT_THAT(stock[0], HasSubstr("/jobs/j/reader/name: unknown reader 'csv'; this program has no readers"));
  EXPECT_THAT(stock[1], HasSubstr("/jobs/j/processor: unknown processor 'enrich'; this program has no processors"));
  EXPECT_THAT(stock[2], HasSubstr("docs/extending.md"));
}

TEST(custom_steps, problems_say_what_would_be_right) {
  EXPECT_THAT(problems_of(R"("read": "t", "reader": "csv", "write": {"topic": "o"})"),
              ElementsAre(HasSubstr("'read' and 'reader' exclude each other")));
  EXPECT_THAT(problems_of(R"("write": {"topic": "o"})"), ElementsAre(HasSubstr("read")));
  EXPECT_THAT(problems_of(R"("reader": {"config": {}}, "write": {"topic": "o"})"), ElementsAre(HasSubstr("name")));
  EXPECT_THAT(problems_of(R"("reader": {"name": "csv", "config": 7}, "write": {"topic": "o"})"),
              ElementsAre(HasSubstr("'config' is an object")));
  EXPECT_THAT(problems_of(R"("reader": {"name": "csv", "options": {}}, "write": {"topic": "o"})"),
              ElementsAre(HasSubstr("options")));
  const auto steps = some_steps();
  auto options = with({});
  options.extensions = &steps;
  const auto changed = load_topology_text(R"({"topology": "x", "jobs": {"j": {"on": "change", "reader": "csv",
    "fields": {"n": "count"}, "write": {"custom": "files"}}}})",
                                          "t", options);
  ASSERT_EQ(changed.problems.size(), 1u) << joined(changed.problems);
  EXPECT_EQ(changed.problems[0].pointer, "/jobs/j/on");
}

TEST(custom_steps, the_fingerprint_covers_what_the_result_depends_on) {
  const auto steps = some_steps();
  const auto of = [&](const std::string& job) {
    const auto result = load_job(job, &steps);
    EXPECT_TRUE(result.ok()) << joined(result.problems);
    return result.value.jobs.at("j").fingerprint;
  };
  const std::string write = R"(, "write": {"topic": "o"})";
  const auto one = of(R"("read": "t", "processor": {"name": "enrich", "config": {"a": 1}})" + write);
  EXPECT_NE(one, of(R"("read": "t", "processor": {"name": "enrich", "config": {"a": 2}})" + write));
  EXPECT_NE(one, of(R"("read": "t", "processor": {"name": "translate", "config": {"a": 1}})" + write));
  EXPECT_NE(one, of(R"("read": "t")" + write));
  EXPECT_NE(of(R"("reader": "csv")" + write), of(R"("reader": {"name": "csv", "config": {"a": 1}})" + write));
  EXPECT_EQ(of(R"("read": "t")" + write), of(R"("read": "t", "write": {"custom": "files"})")); // where it goes
}

TEST(custom_steps, secrets_in_a_config_are_masked_where_the_topology_is_shown) {
  const auto steps = some_steps();
  const auto result = load_job(
      R"("read": "t", "processor": {"name": "enrich", "config": {"api_token": "abc123", "site": "north"}}, "write": {"topic": "o"})",
      &steps);
  EXPECT_THAT(result.value.masked_json, HasSubstr("north"));
  EXPECT_THAT(result.value.masked_json, ::testing::Not(HasSubstr("abc123")));
  EXPECT_THAT(result.value.jobs.at("j").processor.config, HasSubstr("abc123"));
}

TEST(custom_steps, a_program_with_a_mistake_in_its_steps_does_not_start) {
  ext::extensions all = some_steps();
  const auto made = [](const ext::execution&) { return nullptr; };
  EXPECT_THROW(all.add_processor("enrich", made), std::invalid_argument);
  EXPECT_NO_THROW(all.add_writer("enrich", made)); // another kind
  for (const std::string name : {"", "Enrich", "1st", "a b", "a/b"})
    EXPECT_THROW(all.add_processor(name, made), std::invalid_argument) << name;
  EXPECT_THROW(all.add_processor(std::string(65, 'a'), made), std::invalid_argument);
  EXPECT_NO_THROW(all.add_processor(std::string(64, 'a'), made));
  EXPECT_THROW(all.add_writer("none", nullptr), std::invalid_argument);
  const auto read = [](const ext::execution&, const ext::share&) { return nullptr; };
  EXPECT_THROW(all.add_reader("r", read, 0), std::invalid_argument);
  EXPECT_THROW(all.add_reader("r", read, 65), std::invalid_argument);
}

} // namespace
} // namespace weir::config_test
