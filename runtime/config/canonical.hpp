// What a checked topology is known by and shown as. Internal to runtime/config.
#pragma once

#include "runtime/config/document.hpp"

namespace weir::config {

// Fills canonical and fingerprint.
void identify(table_config& t);
// Sets fingerprint: over what the job reads and how it reduces that, not when it runs or where it writes.
void identify(job_config& j);

// A value as JSON in one line, members in the text's order.
std::string json_text(const node& n);
// The document as resolved, secrets as "***".
std::string masked_text(const node& root);

} // namespace weir::config
