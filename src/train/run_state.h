// run_state.h — RunState: what a training run knows beside its numbers, as state.json holds it.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>

namespace nautile::train {

struct RunState {
  std::int64_t step = 0;       // optimizer steps done
  double tokens_seen = 0;      // by them
  std::int64_t next_slot = 0;  // the data cursor: Dataset's index of the next step's first slot
  std::uint64_t model_seed = 0, data_seed = 0;
  std::string program_version;
  std::string recipe;        // the recipe as text
  std::string model_config;  // the model's config.json as text, in Hugging Face's words
  // What the caller wants back as it was: an object.
  nlohmann::ordered_json extra = nlohmann::ordered_json::object();
};

}  // namespace nautile::train
