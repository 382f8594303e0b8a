// export.h — what the verbs that write Hugging Face folders share.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

namespace nautile::app {

// The ids that end and begin a text, from the tokenizer of a folder (empty: none), where the
// model's config does not say them: other programs would take their own. Throws Error(bad_input)
// for a tokenizer of more tokens than the model has.
void add_token_ids(nlohmann::ordered_json& config, const std::string& tokenizer);

}  // namespace nautile::app
