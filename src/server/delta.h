// delta.h — Delta: the next of an answer, whichever API tells it; Answer: all of it.
#pragma once

#include <cstdint>
#include <ctime>
#include <string>
#include <vector>

#include "engine/request.h"

namespace nautile::server {

// Deltas of a choice come in order: `started`, `reasoning`s, then `content`s and calls (each
// `call`, `arguments`…, `call_ended`), at last `finished`.
struct Delta {
  enum class Kind : std::uint8_t {
    started,
    reasoning,
    content,
    call,  // one begins: `text` is its name
    arguments,
    call_ended,
    finished,
  } kind = Kind::content;
  int choice = 0;       // over all prompts: prompt · n + choice
  std::string text;     // never empty for reasoning, content and arguments
  int call = 0;         // of this choice
  std::string call_id;  // of `call`
  // Tokens whose text begins here; of reasoning and content.
  std::vector<engine::TokenLogprob> tokens;
  std::vector<engine::TokenLogprob> prompt;  // of `started`, where they were asked for
  std::vector<float> embedding;              // of `finished`, [D]
  engine::Finish finish = engine::Finish::none;
  std::string stop;  // the stop string that ended it
};

struct AnswerUsage {
  std::int64_t prompt_tokens = 0, cached_tokens = 0, completion_tokens = 0, reasoning_tokens = 0;
  double queued_seconds = 0, prefill_seconds = 0, decode_seconds = 0;
};

// What is known before the first token.
struct AnswerHead {
  std::string id;  // of the request: letters and digits
  std::string model, fingerprint;
  std::time_t created = 0;
  int choices = 1;
  std::int64_t prompt_tokens = 0;
  const Tokenizer* tokenizer = nullptr;  // of the tokens that are told; outlives the answer
};

struct AnswerCall {
  std::string id, name, arguments;
};

struct AnswerChoice {
  std::string reasoning, content;
  std::vector<AnswerCall> calls;
  std::vector<engine::TokenLogprob> reasoning_tokens, tokens, prompt;
  std::vector<float> embedding;
  engine::Finish finish = engine::Finish::none;
  std::string stop;
};

struct Answer {
  AnswerHead head;
  std::vector<AnswerChoice> choices;
  AnswerUsage usage;

  // Adds a delta to its choice.
  void take(const Delta& delta);
};

}  // namespace nautile::server
