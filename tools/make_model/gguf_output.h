// gguf_output.h — writes a made model as one GGUF file.
#pragma once

#include "base/parallel.h"
#include "make_model/facts.h"
#include "make_model/options.h"

namespace nautile::make_model {

// Metadata, tokenizer and weights to options.out. Returns the bytes of weights written. Throws
// Error.
std::uint64_t write_gguf(const Facts& facts, const Options& options, ThreadPool& pool);

}  // namespace nautile::make_model
