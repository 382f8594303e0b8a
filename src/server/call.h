// call.h — Call: what is asked for, whichever API asked.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "engine/request.h"
#include "text/chat_format.h"
#include "text/grammar.h"
#include "text/output_plan.h"

namespace nautile::server {

// Text, or ids that are taken as they are.
using RawPrompt = std::variant<std::string, std::vector<TokenId>>;

// What replaces the model's own defaults.
struct SamplingWish {
  std::optional<float> temperature, top_p, min_p, repetition_penalty, presence_penalty,
      frequency_penalty;
  std::optional<int> top_k;
  std::optional<std::uint64_t> seed;        // none: drawn
  std::map<std::string, float> logit_bias;  // by token id, in decimal
};

// An adapter by its number in GET /lora-adapters.
struct AdapterWish {
  std::int64_t id = 0;
  double scale = 0;
};

struct Call {
  enum class Kind : std::uint8_t {
    chat,        // `conversation`
    completion,  // `prompts`, or one of them and what comes after it: `suffix`
    embedding,   // `prompts`
    nothing,     // the model is to be loaded, and that is all
  } kind = Kind::chat;
  std::string model;                                 // "": the only one
  std::optional<std::vector<AdapterWish>> adapters;  // none: nothing is said of them
  std::string user;                                  // shares no cached prefix with other users
  enum class Delivery : std::uint8_t { whole, streamed } delivery = Delivery::whole;
  enum class UsageChunk : std::uint8_t { none, sent } usage_chunk = UsageChunk::none;

  // ---- chat
  Conversation conversation;
  Thinking thinking = Thinking::unset;
  // asked: a model that cannot is an error; wished: it then does what it does by itself.
  enum class ThinkingNeed : std::uint8_t { asked, wished } thinking_need = ThinkingNeed::asked;
  std::optional<std::int64_t> reasoning_budget;  // tokens
  OutputRules::Choice tool_choice = OutputRules::Choice::automatic;
  std::string tool;        // of Choice::named
  bool tools_off = false;  // tool_choice "none": the tools are told, and none is called
  OutputRules::Calls calls = OutputRules::Calls::parallel;
  std::string tools_path = "tools";  // where errors say they are

  // ---- completion, embedding
  std::vector<RawPrompt> prompts;
  std::string prompts_path = "prompt";
  std::optional<std::string> suffix;
  enum class Echo : std::uint8_t { no, yes } echo = Echo::no;
  // Whether text means what it spells, or only its letters (no special token arises, no BOS).
  enum class Reading : std::uint8_t { tokens, letters } reading = Reading::tokens;

  // ---- of all
  SamplingWish sampling;
  int choices = 1;
  std::int64_t max_tokens = 0;  // 0: what the context leaves
  std::string max_tokens_path = "max_tokens";
  std::int64_t min_tokens = 0;
  engine::EndToken end_token = engine::EndToken::ends;
  engine::Special special = engine::Special::hidden;
  std::vector<std::string> stops;
  std::vector<TokenId> stop_ids;
  int top_logprobs = -1;          // as engine::Request
  bool generate_nothing = false;  // max_tokens 0 of a completion: its echo is all that is wanted
  std::optional<GrammarSpec> answer;  // what the text must fit
  std::string answer_path;            // where errors say it is
  int priority = 0;

  std::vector<std::string> without_effect;  // fields that were sent for nothing
};

}  // namespace nautile::server
