// options.h — what the user of make_model asks for.
#pragma once

#include <cstdint>
#include <string>

#include "base/format.h"

namespace nautile::make_model {

// How a deepseek2 GGUF holds the latent's up-projection.
enum class MlaTensors { split, legacy };  // attn_k_b and attn_v_b, or attn_kv_b
enum class Mtp { as_usual, include };     // GGUF files usually leave the MTP layers out

struct Options {
  std::string config;
  std::string out;  // "….gguf" or a folder
  Format format = Format::bf16;
  std::uint64_t seed = 1;
  double std = 0.02;
  std::string tokenizer;  // a folder; empty: a made-up byte vocabulary
  std::uint64_t shard_bytes = std::uint64_t{5'000'000'000};
  int threads = 0;
  MlaTensors mla = MlaTensors::split;
  Mtp mtp = Mtp::as_usual;
};

}  // namespace nautile::make_model
