// model_facts.h — ModelFacts: what a config implies: parameters, work and cache per token.
#pragma once

#include <cstdint>

#include "model/config.h"

namespace nautile {

struct ModelFacts {
  std::uint64_t parameters = 0;         // without prediction modules; a tied head counts once
  std::uint64_t active_parameters = 0;  // read for one token: chosen experts, one embedding row
  std::uint64_t mtp_parameters = 0;     // of the prediction modules
  // Multiply-adds count as two; for one token in decode, the head included.
  double flops_per_token = 0;  // weight products and nothing else
  double head_flops = 0;       // of these, the head's
  // Attention, for each token before it: in decode (MLA absorbed) and in prefill (MLA expanded).
  double flops_per_past_token = 0;
  double prefill_flops_per_pair = 0;
  // Of one prediction module in prefill: weight products with the head it shares, and attention for
  // each pair. All modules are alike.
  double mtp_flops_per_token = 0;
  double mtp_flops_per_pair = 0;
};

ModelFacts facts_of(const ModelConfig& config);

}  // namespace nautile
