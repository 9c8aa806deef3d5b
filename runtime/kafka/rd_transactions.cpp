#include "runtime/kafka/rd_transactions.hpp"

#include "runtime/core/backoff.hpp"
#include "runtime/kafka/rd_message.hpp"
#include "runtime/kafka/settings.hpp"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <fmt/format.h>
#include <thread>

namespace weir::kafka {
namespace {

using namespace std::chrono_literals;
using clock = std::chrono::steady_clock;
using group_ptr =
    std::unique_ptr<rd_kafka_consumer_group_metadata_t, releaser<rd_kafka_consumer_group_metadata_destroy>>;

constexpr auto slice = 500ms; // the longest wait between two looks at `goes_on`
constexpr auto room = 5ms;    // wait for room in the local queue
constexpr auto abort_deadline = 5s;

int ms(std::chrono::milliseconds wait) { return static_cast<int>(wait.count()); }

// Ending librdkafka's threads may wait for a connection that hangs.
void end_beside(std::shared_ptr<handle> last) {
  std::thread([last = std::move(last)] {}).detach();
}

// One transaction, from the begin to the end of its producer.
class attempt {
public:
  attempt(const transaction& what, const std::function<bool()>& goes_on, const transactions_options& o)
      : what_(what), goes_on_(goes_on), largest_(o.queue_bytes / 2), until_(clock::now() + o.deadline) {}
  ~attempt() {
    if (producer_)
      end_beside(std::move(producer_));
    if (reader_)
      end_beside(std::move(reader_));
  }
  attempt(const attempt&) = delete;
  attempt& operator=(const attempt&) = delete;

  result<void> open(const kafka_config& kafka, const transactions_options& o) {
    auto conf = producer_conf(kafka, o.client_id, o.queue_bytes, o.queue_messages, o.abandoned.count());
    if (!conf)
      return tl::unexpected(conf.error());
    auto about = make_context(kafka, "kafka/" + what_.writer);
    // No delivery reports: the commit tells of all records at once.
    rd_kafka_conf_set_events(conf->get(), 0);
    for (const auto& [name, value] : {std::pair<const char*, std::string>{"transactional.id", what_.writer},
                                      {"transaction.timeout.ms", std::to_string(o.abandoned.count())}})
      if (auto done = set(conf->get(), name, value, *about); !done)
        return done;
    auto producer = handle::open(RD_KAFKA_PRODUCER, std::move(*conf), std::move(about));
    if (!producer)
      return tl::unexpected(producer.error());
    producer_ = std::move(*producer);

    auto asker = asker_conf(kafka, what_.writer, o.client_id);
    if (!asker)
      return tl::unexpected(asker.error());
    auto asker_about = make_context(kafka, "kafka/" + what_.writer);
    // With it, brokers make the question for the mark wait while a transaction is being ended.
    if (auto done = set(asker->get(), "isolation.level", "read_committed", *asker_about); !done)
      return done;
    auto reader = handle::open(RD_KAFKA_CONSUMER, std::move(*asker), std::move(asker_about));
    if (!reader)
      return tl::unexpected(reader.error());
    reader_ = std::move(*reader);
    return {};
  }

  result<bool> run() {
    // Ends what an earlier producer of this id left open, and fences that producer: only then is the mark final.
    if (auto begun = repeat([this] { return rd_kafka_init_transactions(producer_->get(), ms(wait())); }); !begun)
      return tl::unexpected(begun.error());
    const auto there = is_there();
    if (!there || *there)
      return there ? result<bool>(false) : there;
    if (const rd_error_ptr refused{rd_kafka_begin_transaction(producer_->get())})
      return tl::unexpected(translate(refused.get()));
    auto written = send_all();
    if (written)
      written = mark();
    if (written)
      written = repeat([this] { return rd_kafka_commit_transaction(producer_->get(), ms(wait())); });
    if (written)
      return true;
    if (written.error().code != ec::fenced)
      // Whether it works or not: whoever tries again begins by ending this transaction.
      static_cast<void>(rd_error_ptr{rd_kafka_abort_transaction(producer_->get(), ms(abort_deadline))});
    return tl::unexpected(written.error());
  }

private:
  static result<void> set(rd_kafka_conf_t* conf, const char* name, const std::string& value, const context& about) {
    std::array<char, 512> text{};
    if (rd_kafka_conf_set(conf, name, value.c_str(), text.data(), text.size()) != RD_KAFKA_CONF_OK)
      return fail(ec::bad_topology, fmt::format("kafka.properties: {}", about.clean(text.data())));
    return {};
  }

  std::chrono::milliseconds wait() const {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(until_ - clock::now());
    return std::clamp<std::chrono::milliseconds>(left, 1ms, slice);
  }

  error translate(const rd_kafka_error_t* e) const {
    auto why = producer_->about().translate(rd_kafka_error_code(e), rd_kafka_error_string(e));
    if (rd_kafka_error_code(e) == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE)
      why.code = ec::bad_argument; // the same rows would be refused again
    why.message = fmt::format("topic '{}': {}", what_.topic, why.message);
    if (rd_kafka_error_code(e) == RD_KAFKA_RESP_ERR__FENCED)
      why = {ec::fenced, fmt::format("topic '{}': another node writes this job's results", what_.topic)};
    else if (why.code == ec::kafka_fatal)
      why.code = ec::kafka_failed; // to this producer, which ends with the attempt: the next one may do
    return why;
  }

  result<void> may_go_on() const {
    if (!goes_on_())
      return fail(ec::stopped, fmt::format("topic '{}': the execution has ended", what_.topic));
    if (clock::now() >= until_)
      return fail(ec::timeout, fmt::format("topic '{}': the brokers did not take the result in time", what_.topic));
    return {};
  }

  // Until it works, fails for good, or nobody wants it any more.
  template <class Call>
  result<void> repeat(Call call) {
    backoff between{20ms, slice};
    for (;;) {
      const rd_error_ptr refused{call()};
      if (!refused)
        return {};
      if (!rd_kafka_error_is_retriable(refused.get()))
        return tl::unexpected(translate(refused.get()));
      if (auto yes = may_go_on(); !yes)
        return yes;
      std::this_thread::sleep_for(between.next());
    }
  }

  list_ptr the_mark() const {
    list_ptr list{rd_kafka_topic_partition_list_new(1)};
    auto* at = rd_kafka_topic_partition_list_add(list.get(), what_.topic.c_str(), 0);
    at->offset = what_.time_ms;
    // librdkafka frees it with the list.
    at->metadata = std::malloc(what_.id.size());
    if (at->metadata) {
      std::copy(what_.id.begin(), what_.id.end(), static_cast<char*>(at->metadata));
      at->metadata_size = what_.id.size();
    }
    return list;
  }

  result<bool> is_there() {
    backoff between{20ms, slice};
    for (;;) {
      list_ptr list{rd_kafka_topic_partition_list_new(1)};
      rd_kafka_topic_partition_list_add(list.get(), what_.topic.c_str(), 0);
      auto code = rd_kafka_committed(reader_->get(), list.get(), ms(wait()));
      const auto& at = list->elems[0];
      if (code == RD_KAFKA_RESP_ERR_NO_ERROR)
        code = at.err;
      if (code == RD_KAFKA_RESP_ERR_NO_ERROR)
        return std::string_view{static_cast<const char*>(at.metadata), at.metadata_size} == what_.id;
      auto why = reader_->about().translate(code, {});
      const bool passes = why.code == ec::kafka_unreachable || why.code == ec::timeout ||
                          code == RD_KAFKA_RESP_ERR_UNSTABLE_OFFSET_COMMIT;
      if (!passes) {
        why.message = fmt::format("group '{}': {}", what_.writer, why.message);
        return tl::unexpected(std::move(why));
      }
      if (auto yes = may_go_on(); !yes)
        return tl::unexpected(yes.error());
      std::this_thread::sleep_for(between.next());
    }
  }

  result<void> send_all() {
    message m;
    m.topic = what_.topic;
    m.headers = what_.headers;
    for (const auto& [key, value] : *what_.rows) {
      if (key.size() + value.size() > largest_) // there would never be room
        return fail(ec::bad_argument,
                    fmt::format("topic '{}': a record of {} bytes does not fit into the producer's queue", what_.topic,
                                key.size() + value.size()));
      m.key = key;
      m.value = value;
      for (;;) {
        const auto code = enqueue(producer_->get(), m, nullptr);
        if (code == RD_KAFKA_RESP_ERR_NO_ERROR)
          break;
        if (code != RD_KAFKA_RESP_ERR__QUEUE_FULL) {
          // A transaction that failed takes nothing more. What comes next is refused too, and told why.
          if (code == RD_KAFKA_RESP_ERR__STATE)
            return {};
          auto why = producer_->about().translate(code, {});
          if (code == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE)
            why.code = ec::bad_argument;
          why.message = fmt::format("topic '{}': {}", what_.topic, why.message);
          return tl::unexpected(std::move(why));
        }
        if (auto yes = may_go_on(); !yes)
          return yes;
        rd_kafka_poll(producer_->get(), ms(room));
      }
    }
    return may_go_on();
  }

  result<void> mark() {
    const group_ptr group{rd_kafka_consumer_group_metadata_new(what_.writer.c_str())};
    const auto list = the_mark();
    return repeat(
        [&] { return rd_kafka_send_offsets_to_transaction(producer_->get(), list.get(), group.get(), ms(wait())); });
  }

  const transaction& what_;
  const std::function<bool()>& goes_on_;
  const std::uint64_t largest_;
  const clock::time_point until_;
  std::shared_ptr<handle> producer_, reader_;
};

class rd_transactions : public transactions {
public:
  rd_transactions(kafka_config kafka, transactions_options options)
      : kafka_(std::move(kafka)), options_(std::move(options)) {}

  result<bool> write(const transaction& what, const std::function<bool()>& goes_on) override {
    attempt one(what, goes_on, options_);
    if (auto opened = one.open(kafka_, options_); !opened)
      return tl::unexpected(opened.error());
    return one.run();
  }

private:
  const kafka_config kafka_;
  const transactions_options options_;
};

} // namespace

result<std::unique_ptr<transactions>> make_transactions(const kafka_config& kafka, transactions_options options) {
  // Told now and not by the first execution.
  static const transaction nothing{"nobody", "nothing", "", 0, {}, {}};
  const std::function<bool()> never = [] { return false; };
  if (auto fits = attempt(nothing, never, options).open(kafka, options); !fits)
    return tl::unexpected(fits.error());
  return std::make_unique<rd_transactions>(kafka, std::move(options));
}

} // namespace weir::kafka
