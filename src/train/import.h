// import.h — masters from a checkpoint in any format that can be read as numbers.
#pragma once

#include "model/loader.h"
#include "train/param_set.h"

namespace nautile::train {

// Sets every master and router bias from the checkpoint of the same config, dequantized where it is
// quantized, and refreshes. Throws Error when weights are missing.
void import_masters(Checkpoint& checkpoint, ParamSet& params, Backend& backend);

// A weight's numbers in F32, in the order of its elements; count is its number of elements.
void read_weight(Backend& backend, const Weight& weight, std::span<float> out);

}  // namespace nautile::train
