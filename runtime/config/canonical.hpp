// What a checked topology is known by and shown as. Internal to runtime/config.
#pragma once

#include "runtime/config/document.hpp"

namespace weir::config {

// Fills canonical and fingerprint.
void identify(table_config& t);

// The document as resolved, secrets as "***".
std::string masked_text(const node& root);

} // namespace weir::config
