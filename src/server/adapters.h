// adapters.h — adapters (LoRA) of requests: each is a model of its own, under a name and a number.
#pragma once

#include <string>
#include <vector>

#include "server/call.h"
#include "server/models.h"
#include "server/shape.h"

namespace nautile::server {

// The name of the model that is to answer: the call's own, or, where it says `lora`, the adapter of
// that number and of scale 1, or the bare model if all scales are 0, as llama-server has it. Throws
// ApiError naming lora for a number that is not there or belongs to another model, for a scale
// between 0 and 1, for several at once, and for `lora` beside a `model` that is an adapter.
std::string adapted_model(const Call& call, const std::vector<ModelEntry>& models);

// llama-server's list: [{"id", "path", "scale"}]. The path is the adapter's name, since paths are
// the administrator's business; the scale is 0, for a request that does not name one gets none.
Json adapters_json(const std::vector<ModelEntry>& models);

}  // namespace nautile::server
