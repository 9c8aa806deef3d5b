// What a checked topology is known by and shown as. Internal to runtime/config.
#pragma once

#include "runtime/config/document.hpp"

namespace weir::config {

// Fills canonical and fingerprint.
void identify(table_config& t);
// Sets fingerprint: over what the job reads and how it reduces that, not when it runs or where it writes.
void identify(job_config& j);

// The document as resolved, secrets as "***".
std::string masked_text(const node& root);

} // namespace weir::config
