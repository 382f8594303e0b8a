// completion_manner.h — CompletionManner and EmbeddingManner: OpenAI's text completions,
// embeddings.
#pragma once

#include <string>
#include <vector>

#include "server/call.h"
#include "server/manner.h"
#include "server/routes.h"

namespace nautile::server {

class CompletionManner : public Manner {
 public:
  // `logprobs`: alternatives told with each token, or -1 for no logprobs.
  CompletionManner(Call::UsageChunk usage_chunk, int logprobs, Dialect dialect)
      : usage_chunk_(usage_chunk), logprobs_(logprobs), dialect_(dialect) {}

  std::string whole(const Answer& answer) override;
  std::string head(const AnswerHead& head) override;
  std::string text(const Delta& delta) override;
  std::string tail(const Answer& answer) override;
  std::string failure(const ApiError& error) override;

 private:
  Json object(const AnswerHead& head) const;
  // {"tokens", "token_logprobs", "top_logprobs", "text_offset"}; `offset`, in characters, moves on.
  Json logprobs(const std::vector<engine::TokenLogprob>& tokens, const Tokenizer& tokenizer,
                std::size_t& offset) const;

  Call::UsageChunk usage_chunk_;
  int logprobs_;
  Dialect dialect_;
  AnswerHead head_;
  std::vector<std::size_t> offsets_;  // by choice, of a stream
};

class EmbeddingManner : public Manner {
 public:
  enum class Numbers : std::uint8_t { decimal, base64 };  // base64: of float32, little-endian
  // `dimensions` 0: all.
  EmbeddingManner(Numbers numbers, std::size_t dimensions)
      : numbers_(numbers), dimensions_(dimensions) {}

  // Each vector has length 1.
  std::string whole(const Answer& answer) override;
  // Embeddings are not streamed.
  std::string head(const AnswerHead&) override { return {}; }
  std::string text(const Delta&) override { return {}; }
  std::string tail(const Answer&) override { return {}; }
  std::string failure(const ApiError& error) override { return error_body(error); }

 private:
  Numbers numbers_;
  std::size_t dimensions_;
};

std::string base64(std::string_view bytes);
// The vector with length 1, cut to `dimensions` before (0: all); zeros stay zeros.
std::vector<float> unit_vector(std::vector<float> vector, std::size_t dimensions);

}  // namespace nautile::server
