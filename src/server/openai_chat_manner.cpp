// openai_chat_manner.cpp — the JSON of chat completions.
#include "server/openai_chat_manner.h"

#include <cmath>

#include "text/unicode.h"

namespace nautile::server {

using engine::Finish;

Json openai_usage(const AnswerUsage& usage) {
  return {{"prompt_tokens", usage.prompt_tokens},
          {"completion_tokens", usage.completion_tokens},
          {"total_tokens", usage.prompt_tokens + usage.completion_tokens},
          {"prompt_cache_hit_tokens", usage.cached_tokens},
          {"prompt_cache_miss_tokens", usage.prompt_tokens - usage.cached_tokens},
          {"prompt_tokens_details", {{"cached_tokens", usage.cached_tokens}}},
          {"completion_tokens_details", {{"reasoning_tokens", usage.reasoning_tokens}}}};
}

double finite_logprob(float logprob) {
  return std::isfinite(logprob) ? static_cast<double>(logprob) : -9999.0;
}

std::string token_text(TokenId id, const Tokenizer& tokenizer) {
  std::string bytes;
  tokenizer.append_bytes(id, SkipSpecial::no, bytes);
  if (valid_utf8_prefix(bytes) == bytes.size()) return bytes;
  std::string text = "bytes:";
  for (const char c : bytes) text += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
  return text;
}

namespace {

Json token_entry(TokenId id, float logprob, const Tokenizer& tokenizer) {
  std::string bytes;
  tokenizer.append_bytes(id, SkipSpecial::no, bytes);
  Json numbers = Json::array();
  for (const char c : bytes) numbers.push_back(static_cast<unsigned char>(c));
  return {{"token", token_text(id, tokenizer)},
          {"logprob", finite_logprob(logprob)},
          {"bytes", std::move(numbers)}};
}

Json token_list(const std::vector<engine::TokenLogprob>& tokens, const Tokenizer& tokenizer) {
  Json list = Json::array();
  for (const auto& token : tokens) list.push_back(openai_token_logprob(token, tokenizer));
  return list;
}

Json call_json(const AnswerCall& call) {
  return {{"id", call.id},
          {"type", "function"},
          {"function", {{"name", call.name}, {"arguments", call.arguments}}}};
}

}  // namespace

Json openai_token_logprob(const engine::TokenLogprob& token, const Tokenizer& tokenizer) {
  Json entry = token_entry(token.token, token.logprob, tokenizer);
  entry["top_logprobs"] = Json::array();
  for (const auto& other : token.top) {
    entry["top_logprobs"].push_back(token_entry(other.token, other.logprob, tokenizer));
  }
  return entry;
}

Json OpenaiChatManner::finish_reason(Finish finish, bool called) const {
  switch (finish) {
    case Finish::length:
    case Finish::context:
      return "length";
    case Finish::end:
    case Finish::stop:
      if (!called) return "stop";
      return habits_.calls == Calls::function ? "function_call" : "tool_calls";
    case Finish::cancelled:
    case Finish::failed:
      return "insufficient_system_resource";
    case Finish::none:
      break;
  }
  return nullptr;
}

std::string OpenaiChatManner::whole(const Answer& answer) {
  Json choices = Json::array();
  for (std::size_t i = 0; i < answer.choices.size(); ++i) {
    const AnswerChoice& choice = answer.choices[i];
    const bool called = !choice.calls.empty();
    Json message = {{"role", "assistant"},
                    {"content", called && choice.content.empty() ? Json() : Json(choice.content)},
                    {"refusal", nullptr},
                    {"annotations", Json::array()}};
    if (!choice.reasoning.empty()) message["reasoning_content"] = choice.reasoning;
    if (called && habits_.calls == Calls::function) {
      message["function_call"] = call_json(choice.calls.front())["function"];
    } else if (called) {
      for (const AnswerCall& call : choice.calls) message["tool_calls"].push_back(call_json(call));
    }
    Json logprobs;
    if (habits_.logprobs) {
      logprobs = {{"content", token_list(choice.tokens, *answer.head.tokenizer)},
                  {"refusal", nullptr}};
      if (!choice.reasoning_tokens.empty()) {
        logprobs["reasoning_content"] = token_list(choice.reasoning_tokens, *answer.head.tokenizer);
      }
    }
    choices.push_back({{"index", i},
                       {"message", std::move(message)},
                       {"logprobs", std::move(logprobs)},
                       {"finish_reason", finish_reason(choice.finish, called)}});
  }
  return dumped({{"id", "chatcmpl-" + answer.head.id},
                 {"object", "chat.completion"},
                 {"created", answer.head.created},
                 {"model", answer.head.model},
                 {"system_fingerprint", answer.head.fingerprint},
                 {"choices", std::move(choices)},
                 {"usage", openai_usage(answer.usage)}});
}

Json OpenaiChatManner::chunk() const {
  Json chunk = {{"id", "chatcmpl-" + head_.id},
                {"object", "chat.completion.chunk"},
                {"created", head_.created},
                {"model", head_.model},
                {"system_fingerprint", head_.fingerprint},
                {"choices", Json::array()}};
  if (habits_.usage_chunk == Call::UsageChunk::sent) chunk["usage"] = nullptr;
  return chunk;
}

std::string OpenaiChatManner::head(const AnswerHead& head) {
  head_ = head;
  called_.assign(static_cast<std::size_t>(head.choices), false);
  return {};
}

std::string OpenaiChatManner::text(const Delta& delta) {
  const auto at = static_cast<std::size_t>(delta.choice);
  Json said = Json::object();
  Json logprobs, finish;
  switch (delta.kind) {
    case Delta::Kind::started:
      said = {{"role", "assistant"}, {"content", ""}};
      break;
    case Delta::Kind::reasoning:
      said["reasoning_content"] = delta.text;
      break;
    case Delta::Kind::content:
      said["content"] = delta.text;
      break;
    case Delta::Kind::call:
      called_[at] = true;
      if (habits_.calls == Calls::function) {
        said["function_call"] = {{"name", delta.text}, {"arguments", ""}};
      } else {
        said["tool_calls"] = {{{"index", delta.call},
                               {"id", delta.call_id},
                               {"type", "function"},
                               {"function", {{"name", delta.text}, {"arguments", ""}}}}};
      }
      break;
    case Delta::Kind::arguments:
      if (habits_.calls == Calls::function) {
        said["function_call"] = {{"arguments", delta.text}};
      } else {
        said["tool_calls"] = {{{"index", delta.call}, {"function", {{"arguments", delta.text}}}}};
      }
      break;
    case Delta::Kind::call_ended:
      return {};
    case Delta::Kind::finished:
      finish = finish_reason(delta.finish, called_[at]);
      if (habits_.dialect == Dialect::deepseek) said["content"] = "";
      break;
  }
  if (habits_.logprobs && !delta.tokens.empty()) {
    const bool reasons = delta.kind == Delta::Kind::reasoning;
    Json list = token_list(delta.tokens, *head_.tokenizer);
    logprobs = {{"content", reasons ? Json::array() : list}, {"refusal", nullptr}};
    if (reasons) logprobs["reasoning_content"] = std::move(list);
  }
  Json next = chunk();
  next["choices"].push_back({{"index", delta.choice},
                             {"delta", std::move(said)},
                             {"logprobs", std::move(logprobs)},
                             {"finish_reason", std::move(finish)}});
  if (habits_.dialect == Dialect::deepseek && delta.kind == Delta::Kind::finished) {
    std::string before;
    if (!last_.empty()) before = event_text(Json::parse(last_));
    last_ = dumped(next);
    return before;
  }
  return event_text(next);
}

std::string OpenaiChatManner::tail(const Answer& answer) {
  std::string bytes;
  if (!last_.empty()) {
    Json last = Json::parse(last_);
    last["usage"] = openai_usage(answer.usage);
    bytes += event_text(last);
  }
  if (habits_.usage_chunk == Call::UsageChunk::sent) {
    Json usage = chunk();
    usage["usage"] = openai_usage(answer.usage);
    bytes += event_text(usage);
  }
  return bytes + "data: [DONE]\n\n";
}

std::string OpenaiChatManner::failure(const ApiError& error) {
  return "data: " + error_body(error) + "\n\n";
}

}  // namespace nautile::server
