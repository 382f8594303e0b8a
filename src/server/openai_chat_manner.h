// openai_chat_manner.h — OpenaiChatManner: chat completions and their chunks.
#pragma once

#include <string>
#include <vector>

#include "server/call.h"
#include "server/manner.h"
#include "server/routes.h"

namespace nautile::server {

class OpenaiChatManner : public Manner {
 public:
  enum class Calls : std::uint8_t { tools, function };  // function: the older message.function_call
  struct Habits {
    Dialect dialect = Dialect::openai;
    Call::UsageChunk usage_chunk = Call::UsageChunk::none;
    bool logprobs = false;
    Calls calls = Calls::tools;
  };
  explicit OpenaiChatManner(Habits habits) : habits_(habits) {}

  std::string whole(const Answer& answer) override;
  std::string head(const AnswerHead& head) override;
  std::string text(const Delta& delta) override;
  std::string tail(const Answer& answer) override;
  std::string failure(const ApiError& error) override;

 private:
  Json chunk() const;
  Json finish_reason(engine::Finish finish, bool called) const;

  Habits habits_;
  AnswerHead head_;
  std::vector<bool> called_;  // by choice
  std::string last_;          // deepseek: the last chunk waits for the usage
};

// {"prompt_tokens", …}, with DeepSeek's prompt_cache_hit_tokens and prompt_cache_miss_tokens.
Json openai_usage(const AnswerUsage& usage);
// A token's entry of logprobs.content.
Json openai_token_logprob(const engine::TokenLogprob& token, const Tokenizer& tokenizer);
// The text of a token, "bytes:\xe4\xbd" where it is no whole text.
std::string token_text(TokenId id, const Tokenizer& tokenizer);
// Numbers that JSON has none for become -9999, as OpenAI writes what cannot be.
double finite_logprob(float logprob);

}  // namespace nautile::server
