// chat_sample.h — ChatSample: a conversation as tokens, with the runs that the assistant wrote.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string_view>
#include <vector>

#include "text/chat_format.h"
#include "text/tokenizer.h"
#include "train/shards.h"

namespace nautile::train {

struct ChatSample {
  std::vector<TokenId> tokens;
  std::vector<TokenRun> runs;  // what is to be learnt: the assistant's turns with their end token
};

// Tokens as a chat would make them: the prompt of each turn is encoded apart from the answer. In
// the assistant's own text, added tokens that are not special (tags like <think>) are tokens;
// control tokens never arise from any message. One sample; if the format rewrites earlier turns
// (R1's drops their reasoning), one for each turn of the assistant, as the model saw it then.
// `conversation` is an object with "messages", and optionally "tools". Throws Error(bad_input)
// naming the field; a conversation without an assistant is one.
std::vector<ChatSample> encode_chat(const Tokenizer& tokenizer, const ChatFormat& format,
                                    const nlohmann::ordered_json& conversation);

// A text in which added tokens that are not special are tokens, and control tokens are text.
std::vector<TokenId> encode_with_tags(const Tokenizer& tokenizer, std::string_view text);

// Bytes of text that each id of the vocabulary stands for; 0 for special tokens. For bits per byte.
std::vector<std::uint32_t> token_byte_counts(const Tokenizer& tokenizer);

}  // namespace nautile::train
