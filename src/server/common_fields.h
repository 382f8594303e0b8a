// common_fields.h — fields that several APIs have, and what they come to in a Call.
#pragma once

#include <string>
#include <vector>

#include "server/call.h"
#include "server/routes.h"
#include "server/shape.h"

namespace nautile::server {

inline constexpr std::int64_t kMostTokens = 2'147'483'647;

// `fields` and `more` in one list.
std::vector<Field> joined(std::vector<Field> fields, const std::vector<std::vector<Field>>& more);

// temperature, top_p, top_k, min_p, penalties, seed, logit_bias.
std::vector<Field> sampling_fields(const ApiLimits& limits);
void read_sampling(const Json& body, Call& call);

// stop, stop_token_ids, min_tokens, ignore_eos, skip_special_tokens.
std::vector<Field> stopping_fields(const ApiLimits& limits);
void read_stopping(const Json& body, Call& call);

// model, lora, n, stream, stream_options, user, user_id.
std::vector<Field> delivery_fields(const ApiLimits& limits);
void read_delivery(const Json& body, Call& call);

// What a text must fit: guided_json, guided_regex, guided_grammar, guided_choice, grammar,
// structured_outputs (as vLLM and llama.cpp have them). A second one, response_format included, is
// an error.
std::vector<Field> guide_fields();
void read_guides(const Json& body, const ApiLimits& limits, Call& call);
void set_answer(Call& call, std::string path, GrammarSpec spec);
// Throws ApiError naming `path` if the schema's text exceeds the limit.
std::string schema_text(const Json& schema, const std::string& path, const ApiLimits& limits);
// "a" or "b" as GBNF.
std::string choice_grammar(const std::vector<std::string>& words);

// Reasoning: thinking {type, budget_tokens}, enable_thinking, thinking_budget, reasoning_effort,
// reasoning {effort, max_tokens}, chat_template_kwargs.
std::vector<Field> reasoning_fields();
void read_reasoning(const Json& body, Call& call);
// "none" to "max"; a budget goes with the lower ones.
const std::vector<std::string>& effort_words();
void set_effort(Call& call, const std::string& word);
void set_kwarg(Call& call, const std::string& name, Json value);

// Values of checked bodies: what is there, or `otherwise`.
bool flag(const Json& body, std::string_view name, bool otherwise);
std::int64_t whole(const Json& value);
std::string text_or(const Json& body, std::string_view name, std::string otherwise);

}  // namespace nautile::server
