// rope_table.h — angles of rotary position embedding, with the scaling rules of released models.
#pragma once

#include "model/config.h"
#include "ops/ops.h"

namespace nautile {

// Inverse frequencies [dims/2] after scaling: none, linear, YaRN (Peng et al. 2023, with DeepSeek's
// corrections), llama3.
std::vector<double> rope_frequencies(const RopeConfig& config, int dims);

// cos and sin for positions 0 … positions-1.
ops::RopeTable make_rope_table(const RopeConfig& config, int dims, std::int64_t positions);

}  // namespace nautile
