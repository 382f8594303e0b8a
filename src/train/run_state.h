// run_state.h — RunState: what a training run knows beside its numbers, as state.json holds it.
#pragma once

#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <string>

namespace nautile::train {

class Trainer;

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

// What a trainer that goes on from a checkpoint must share with the one that wrote it, beside the
// parameters' names and shapes: "precision" -> "bf16" and the like.
using TrainerFacts = std::map<std::string, std::string>;
TrainerFacts facts_of(Trainer& trainer);

// A file of a checkpoint, as state.json lists it.
struct FileSum {
  std::uint64_t bytes = 0;
  std::uint64_t xxh64 = 0;
};

// All of state.json.
struct StateFile {
  RunState run;
  TrainerFacts trainer;
  std::map<std::string, FileSum> files;  // by plain name

  std::string text() const;
  // Throws Error(bad_input) naming `what` and the member, Error(unsupported) for a later format.
  static StateFile parse(std::string_view text, const std::string& what);
};

// 16 hexadecimal digits, as xxhsum prints them.
std::string checksum_text(std::uint64_t xxh64);

}  // namespace nautile::train
