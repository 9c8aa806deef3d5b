// A transaction as one command, and its answer.
#pragma once

#include "runtime/redis/command.hpp"
#include "runtime/redis/transaction.hpp"

namespace weir::redis {

// EVALSHA of the apply script with all keys in KEYS. Pure; called in the submitter's thread, so that a reactor only
// writes bytes. ec::bad_argument: entries and rows in one write, an expiry without an upper bound, and other things a
// table cannot mean.
result<command_writer::bytes> encode(const transaction& tx, std::size_t change_log_bytes);

result<tx_result> decode_answer(const transaction& tx, reply_view reply);

} // namespace weir::redis
