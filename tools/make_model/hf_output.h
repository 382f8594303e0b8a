// hf_output.h — writes a made model as a Hugging Face folder.
#pragma once

#include "base/parallel.h"
#include "make_model/facts.h"
#include "make_model/options.h"

namespace nautile::make_model {

// config.json, weights (one file, or shards and an index above options.shard_bytes) and tokenizer
// files under options.out. Returns the bytes of weights written. Throws Error.
std::uint64_t write_folder(const Facts& facts, const Options& options, ThreadPool& pool);

}  // namespace nautile::make_model
