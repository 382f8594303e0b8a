// perplexity.h — how well a model foretells a text, token by token.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "engine/session.h"
#include "text/tokenizer.h"

namespace nautile::eval {

struct PerplexityOptions {
  std::int64_t window = 2048;   // tokens the model sees at once, BOS included; at most the context
  std::int64_t stride = 0;      // tokens from window to window; 0: the window, nothing twice
  std::int64_t max_tokens = 0;  // of the text; 0: all
};

// Sums over the tokens that were foretold: all but those that no token precedes in their window.
struct PerplexityResult {
  std::int64_t tokens = 0;
  std::uint64_t bytes = 0;  // of the text of these tokens
  double nats = 0;          // −Σ ln p

  double nats_per_token() const { return tokens > 0 ? nats / static_cast<double>(tokens) : 0; }
  double perplexity() const;
  double bits_per_byte() const;
};

// Called after each batch of rows with text tokens passed and all of them; may throw to stop.
using PerplexityProgress =
    std::function<void(std::int64_t done, std::int64_t all, const PerplexityResult& so_far)>;

// Windows begin at multiples of the stride; each scores what the one before did not reach. A window
// begins with BOS where the tokenizer wants one. `tokens` are of plain text, without BOS. Throws
// Error(usage) for a window or stride that cannot be. The session is emptied.
PerplexityResult perplexity(engine::Session& session, const Tokenizer& tokenizer,
                            std::span<const TokenId> tokens, const PerplexityOptions& options,
                            const PerplexityProgress& progress);

// −ln softmax(logits [W])[token]; summed in double.
double negative_log_probability(std::span<const float> logits, TokenId token);

}  // namespace nautile::eval
