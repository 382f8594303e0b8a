// completion_manner.cpp — the JSON of completions and embeddings.
#include "server/completion_manner.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "server/openai_chat_manner.h"

namespace nautile::server {

using engine::Finish;

namespace {

Json finish_reason(Finish finish) {
  if (finish == Finish::none) return nullptr;
  return finish == Finish::length || finish == Finish::context ? "length" : "stop";
}

// Characters that begin in these bytes.
std::size_t characters(std::string_view bytes) {
  return static_cast<std::size_t>(std::count_if(bytes.begin(), bytes.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xC0) != 0x80;
  }));
}

}  // namespace

Json CompletionManner::object(const AnswerHead& head) const {
  return {{"id", "cmpl-" + head.id},
          {"object", "text_completion"},
          {"created", head.created},
          {"model", head.model},
          {"system_fingerprint", head.fingerprint},
          {"choices", Json::array()}};
}

Json CompletionManner::logprobs(const std::vector<engine::TokenLogprob>& tokens,
                                const Tokenizer& tokenizer, std::size_t& offset) const {
  Json texts = Json::array(), numbers = Json::array(), tops = Json::array(),
       offsets = Json::array();
  for (const auto& token : tokens) {
    texts.push_back(token_text(token.token, tokenizer));
    // The first token of a prompt has nothing before it.
    const bool known = !std::isnan(token.logprob);
    numbers.push_back(known ? Json(finite_logprob(token.logprob)) : Json());
    Json top;
    if (known && logprobs_ > 0) {
      top = Json::object();
      for (const auto& other : token.top) {
        const std::string text = token_text(other.token, tokenizer);
        // Of two tokens with one text the likelier one stands.
        if (!top.contains(text)) top[text] = finite_logprob(other.logprob);
      }
    }
    tops.push_back(std::move(top));
    offsets.push_back(offset);
    std::string bytes;
    tokenizer.append_bytes(token.token, SkipSpecial::yes, bytes);
    offset += characters(bytes);
  }
  return {{"tokens", std::move(texts)},
          {"token_logprobs", std::move(numbers)},
          {"top_logprobs", logprobs_ > 0 ? std::move(tops) : Json()},
          {"text_offset", std::move(offsets)}};
}

std::string CompletionManner::whole(const Answer& answer) {
  Json body = object(answer.head);
  for (std::size_t i = 0; i < answer.choices.size(); ++i) {
    const AnswerChoice& choice = answer.choices[i];
    Json told;
    if (logprobs_ >= 0) {
      std::vector<engine::TokenLogprob> tokens = choice.prompt;
      tokens.insert(tokens.end(), choice.tokens.begin(), choice.tokens.end());
      std::size_t offset = 0;
      told = logprobs(tokens, *answer.head.tokenizer, offset);
    }
    body["choices"].push_back({{"index", i},
                               {"text", choice.content},
                               {"logprobs", std::move(told)},
                               {"finish_reason", finish_reason(choice.finish)}});
  }
  body["usage"] = openai_usage(answer.usage);
  return dumped(body);
}

std::string CompletionManner::head(const AnswerHead& head) {
  head_ = head;
  offsets_.assign(static_cast<std::size_t>(head.choices), 0);
  return {};
}

std::string CompletionManner::text(const Delta& delta) {
  const bool starts = delta.kind == Delta::Kind::started;
  if (starts && delta.text.empty()) return {};
  Json told;
  const auto& tokens = starts ? delta.prompt : delta.tokens;
  if (logprobs_ >= 0 && !tokens.empty()) {
    told = logprobs(tokens, *head_.tokenizer, offsets_[static_cast<std::size_t>(delta.choice)]);
  }
  Json chunk = object(head_);
  chunk["choices"].push_back({{"index", delta.choice},
                              {"text", delta.text},
                              {"logprobs", std::move(told)},
                              {"finish_reason", finish_reason(delta.finish)}});
  if (usage_chunk_ == Call::UsageChunk::sent) chunk["usage"] = nullptr;
  return event_text(chunk);
}

std::string CompletionManner::tail(const Answer& answer) {
  std::string bytes;
  if (usage_chunk_ == Call::UsageChunk::sent || dialect_ == Dialect::deepseek) {
    Json usage = object(head_);
    usage["usage"] = openai_usage(answer.usage);
    bytes = event_text(usage);
  }
  return bytes + "data: [DONE]\n\n";
}

std::string CompletionManner::failure(const ApiError& error) {
  return "data: " + error_body(error) + "\n\n";
}

std::string base64(std::string_view bytes) {
  static constexpr char kLetters[] =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string text;
  text.reserve((bytes.size() + 2) / 3 * 4);
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    const std::size_t count = std::min<std::size_t>(3, bytes.size() - i);
    std::uint32_t bits = 0;
    for (std::size_t j = 0; j < 3; ++j) {
      bits = bits << 8 | (j < count ? static_cast<unsigned char>(bytes[i + j]) : 0U);
    }
    for (std::size_t j = 0; j < 4; ++j) {
      text += j <= count ? kLetters[bits >> (18 - 6 * j) & 63] : '=';
    }
  }
  return text;
}

std::vector<float> unit_vector(std::vector<float> vector, std::size_t dimensions) {
  if (dimensions > 0 && dimensions < vector.size()) vector.resize(dimensions);
  double squares = 0;
  for (const float x : vector) squares += static_cast<double>(x) * x;
  if (squares > 0) {
    const double scale = 1 / std::sqrt(squares);
    for (float& x : vector) x = static_cast<float>(x * scale);
  }
  return vector;
}

std::string EmbeddingManner::whole(const Answer& answer) {
  Json data = Json::array();
  for (std::size_t i = 0; i < answer.choices.size(); ++i) {
    const std::vector<float>& full = answer.choices[i].embedding;
    if (dimensions_ > full.size()) {
      bad_value("dimensions", "dimensions: expected at most {}, found {}", full.size(),
                dimensions_);
    }
    const std::vector<float> vector = unit_vector(full, dimensions_);
    Json numbers = vector;
    if (numbers_ == Numbers::base64) {
      std::string bytes(vector.size() * sizeof(float), '\0');
      std::memcpy(bytes.data(), vector.data(), bytes.size());
      numbers = base64(bytes);
    }
    data.push_back({{"object", "embedding"}, {"index", i}, {"embedding", std::move(numbers)}});
  }
  return dumped({{"object", "list"},
                 {"data", std::move(data)},
                 {"model", answer.head.model},
                 {"usage",
                  {{"prompt_tokens", answer.usage.prompt_tokens},
                   {"total_tokens", answer.usage.prompt_tokens}}}});
}

}  // namespace nautile::server
