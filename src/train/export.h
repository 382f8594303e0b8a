// export.h — a trained model as a Hugging Face folder.
#pragma once

#include <functional>
#include <nlohmann/json.hpp>
#include <string>

#include "train/param_set.h"
#include "train/saved_step.h"

namespace nautile::train {

struct ExportOptions {
  enum class Format : std::uint8_t {
    bf16,  // all weights; router biases F32
    fp8,   // matrices in E4M3 with scales of 128×128 blocks, as DeepSeek-V3 is released; the rest
           // as bf16
  } format = Format::bf16;
  enum class Mtp : std::uint8_t { keep, drop } mtp = Mtp::keep;
  std::string tokenizer = {};  // folder to copy tokenizer files from; empty: none
  enum class Place : std::uint8_t {
    fresh,   // a folder that is not there yet, or empty
    beside,  // among other files of a folder, over those of an earlier export
  } place = Place::fresh;
  std::uint64_t shard_bytes = std::uint64_t{5} << 30;  // above it, several files and an index
};

struct ExportReport {
  std::uint64_t bytes = 0;  // of weights
  std::size_t tensors = 0, files = 0;
  int tokenizer_files = 0;
};

// Where a weight's numbers come from, by canonical name; the shape is what is expected.
using NumbersOf = std::function<std::span<const float>(const std::string& name, const Shape&)>;
NumbersOf numbers_of(Trainer& trainer, SavedStep::Numbers which);
// `saved` must outlive the result.
NumbersOf numbers_of(const SavedStep& saved, SavedStep::Numbers which);

// Writes `to`: config.json (that of the model, with dtype and quantization as they are now),
// weights, generation_config.json and tokenizer files. It is there whole or not at all; beside
// other files it is config.json that comes last. MTP modules are layers L, L + 1, … and repeat
// embedding and head, as released checkpoints do. What a model of the same precision multiplies
// while it trains is what is written, to the bit. Throws Error(usage) if `to` is there and not
// empty.
ExportReport export_folder(const nlohmann::ordered_json& config_json, const NumbersOf& numbers,
                           Backend& backend, const std::string& to, const ExportOptions& options);

// What a config.json says. Throws Error naming the field.
ModelConfig parse_model_config(const nlohmann::ordered_json& config_json);

}  // namespace nautile::train
