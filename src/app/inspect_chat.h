// inspect_chat.h — what `inspect` says of how a model is talked to.
#pragma once

#include <string>

#include "store/weight_store.h"

namespace nautile::app {

// Each text is one line.
struct ChatFacts {
  std::string problem;      // why nothing is known; all else is empty then
  std::string format;       // "template", or a native format's name; "": it completes text only
  std::string tool_format;  // one of tool_format_names(); "" without a format
  // What the format has words of its own for; the rest is put into messages.
  bool defines_tools = false, writes_calls = false, writes_results = false;
};

// Reads tokenizer and template of an open model; `family` as in ModelConfig. Throws nothing: files
// that are missing or broken are what is to be told.
ChatFacts chat_facts(const store::WeightStore& store, const std::string& family);

// "its own template; calls of tools as hermes, results as text in messages".
std::string chat_text(const ChatFacts& facts);

}  // namespace nautile::app
