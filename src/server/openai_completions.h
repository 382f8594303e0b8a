// openai_completions.h — OpenAI's completions (text goes on) and embeddings.
#pragma once

#include "server/routes.h"
#include "server/service.h"
#include "server/shape.h"

namespace nautile::server {

// The bodies of POST /v1/completions and POST /v1/embeddings.
Shape openai_completions_shape(const ApiLimits& limits);
Shape openai_embeddings_shape(const ApiLimits& limits);
// Of bodies that fit. Throw ApiError naming the field.
Asked read_openai_completion(const Json& body, const ApiOptions& options);
Asked read_openai_embedding(const Json& body, const ApiOptions& options);

// A string, strings, ids, or lists of ids; at most `most` prompts.
Shape prompts_shape(std::size_t most);
std::vector<RawPrompt> read_prompts(const Json& prompts, const std::string& path);

}  // namespace nautile::server
