// answer_schemas.h — JSON Schemas of good answers, by name, for the OpenAPI document.
#pragma once

#include "server/shape.h"

namespace nautile::server {

// An object of schemas ("ChatCompletion", "Completion", "Embeddings", "Response", "Message", …),
// which refer to one another below "#/components/schemas/". What is listed as required is in every
// answer; names that are not listed may come.
Json answer_schemas();

}  // namespace nautile::server
