// prepare.h — prepare: from a Call and a model to what its engine is asked.
#pragma once

#include <string>
#include <vector>

#include "engine/request.h"
#include "server/call.h"
#include "server/models.h"
#include "text/reasoning.h"
#include "text/tool_format.h"

namespace nautile::server {

struct Prepared {
  std::vector<engine::Request> requests;          // one for each prompt
  ReasoningMode reasoning = ReasoningMode::none;  // of the text to come
  const ToolFormat* tools = nullptr;              // null: no calls are to be looked for
  std::vector<std::string> tool_names;
  std::vector<std::string> echoes;  // by prompt: text that is said before; empty: none
};

// Renders, encodes and compiles: may take long, waits for no one. Throws ApiError and Error naming
// the field.
Prepared prepare(const Call& call, const ServedModel& model, GrammarCache& grammars);

// A prompt's ids as prepare() makes them. `path` says where errors are.
std::vector<TokenId> encode_raw(const RawPrompt& prompt, Call::Reading reading,
                                const Tokenizer& tokenizer, const std::string& path);
// The ids of a conversation, its tools included.
std::vector<TokenId> encode_chat(const Call& call, const ServedModel& model);

// What the engine will draw by, as JSON, for whoever wants to know.
std::string effective_parameters(const engine::Request& request);

}  // namespace nautile::server
