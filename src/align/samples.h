// samples.h — from a line of the user's file to tokens: a conversation, or a pair of answers.
#pragma once

#include <functional>
#include <nlohmann/json.hpp>
#include <vector>

#include "text/chat_format.h"
#include "text/tokenizer.h"
#include "text/tool_format.h"
#include "train/chat_sample.h"

namespace nautile::align {

struct ChatEncoder {
  const Tokenizer& tokenizer;
  const ChatFormat& format;
  // How calls of tools are written where the chat format has no words for them, as when serving.
  const ToolFormat& tools;
  ToolWords words;  // of `format`
};

// Samples that stay together.
using SampleGroup = std::vector<train::ChatSample>;
using EncodeLine = std::function<std::vector<SampleGroup>(const nlohmann::ordered_json&)>;

// {"messages": […], "tools": […]}: one group for each sample of train::encode_chat. Throws
// Error(bad_input) naming the field: an unknown role, no content, no assistant, what the template
// refuses.
std::vector<SampleGroup> encode_conversation(const ChatEncoder& encoder,
                                             const nlohmann::ordered_json& line);

// A preference in TRL's words: "prompt", "chosen" and "rejected", each a text or a list of
// messages; without "prompt" the messages that chosen and rejected begin with are it. A text is
// what the user says (prompt) or the assistant answers. One group: the chosen sample, then the
// other; what is to be learnt are the answers alone. Throws Error(bad_input) naming the field.
std::vector<SampleGroup> encode_preference(const ChatEncoder& encoder,
                                           const nlohmann::ordered_json& line);

}  // namespace nautile::align
