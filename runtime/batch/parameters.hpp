// What a run of a job says for the job's parameters.
#pragma once

#include "proto/topology.hpp"
#include "runtime/core/error.hpp"

#include <map>
#include <string>

namespace weir::batch {

// By name, as text; those that are not named are as the job says.
using parameter_values = std::map<std::string, std::string>;

// The job with these values in its conditions and as its parameters. Error: ec::bad_argument, a name that the job does
// not have, or a value that is not of the kind of the job's own (a number, "true" or "false"; every text is a string).
result<job_config> with_parameters(const job_config& job, const parameter_values& values);

} // namespace weir::batch
