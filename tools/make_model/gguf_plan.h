// gguf_plan.h — which tensors a GGUF of a model has, and how each is made of the checkpoint's.
#pragma once

#include <string>
#include <vector>

#include "make_model/options.h"
#include "make_model/produce.h"
#include "make_model/tensors.h"
#include "store/gguf_writer.h"

namespace nautile::make_model {

struct GgufTensor {
  store::GgufEntry entry;
  FillRow fill;  // rows of entry.shape, its leading extents flattened
};

// llama.cpp's names, order of dimensions and rearrangements (spec 03 §5). Formats: options.format
// for matrices, where rows are whole blocks, else the nearest that fits (named on stderr); F32 for
// norms, biases and routers; Q6_K for the head of coarser formats. Throws Error(unsupported) for a
// model that GGUF cannot express.
std::vector<GgufTensor> plan_gguf(const Facts& facts, const Options& options);

// general.architecture of a family, and its metadata but the tokenizer's.
std::string architecture(Family family);
store::GgufMetadata model_metadata(const Facts& facts, const Options& options);

}  // namespace nautile::make_model
