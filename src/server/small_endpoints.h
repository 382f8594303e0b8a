// small_endpoints.h — what needs no generation: lists of models, tokens and texts.
#pragma once

#include <string>

#include "server/models.h"
#include "server/routes.h"
#include "server/shape.h"

namespace nautile::server {

// GET /v1/models and GET /v1/models/{id}; the latter throws ApiError (404).
Json openai_models(const Models& models);
Json openai_model(const Models& models, const std::string& name);

// Of bodies that fit.
// POST /tokenize: {"content" or "prompt", "add_special", "parse_special", "with_pieces"} or
// {"messages"}; as llama.cpp's and vLLM's. {"tokens", "count", "max_model_len"}.
Shape tokenize_shape(const ApiLimits& limits);
Json tokenize(const Json& body, const ServedModel& model, const ApiOptions& options);
// POST /detokenize: {"tokens"} -> {"content", "prompt"}.
Shape detokenize_shape();
Json detokenize(const Json& body, const ServedModel& model);

}  // namespace nautile::server
