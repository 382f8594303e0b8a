// model_facts.h — ModelFacts: what a config implies: parameters, work and cache per token.
#pragma once

#include <cstdint>

#include "model/config.h"

namespace nautile::app {

struct ModelFacts {
  std::uint64_t parameters = 0;         // without prediction modules; a tied head counts once
  std::uint64_t active_parameters = 0;  // read for one token: chosen experts, one embedding row
  std::uint64_t mtp_parameters = 0;     // of the prediction modules
  // Multiply-adds count as two; for one token in decode, the head included.
  double flops_per_token = 0;       // weight products and nothing else
  double flops_per_past_token = 0;  // attention, for each token before it (absorbed form for MLA)
};

ModelFacts facts_of(const ModelConfig& config);

}  // namespace nautile::app
