// sequence.h — Sequence: one choice of a request: its tokens, its pages, what it may say next.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "engine/answer_text.h"
#include "engine/logits.h"
#include "engine/prefix_cache.h"
#include "engine/request.h"
#include "engine/scheduler.h"

namespace nautile::engine {

using Clock = std::chrono::steady_clock;

// Memory for choosing tokens, one for each thread.
struct ChoiceScratch {
  SamplerScratch sampler;
  std::vector<std::uint64_t> mask;  // of a grammar
  std::vector<RankedLogit> top;
};

// A token's logprob from logits [W], with the `count` likeliest beside it if that is positive.
TokenLogprob told_token(TokenId token, int count, std::span<const float> logits,
                        const Normalizer& model, ChoiceScratch& scratch);
// The same where nobody knows the normalizer. Throws as normalizer() does.
TokenLogprob told_token(TokenId token, int count, std::span<const float> logits,
                        ChoiceScratch& scratch);

// Holds pages of a PrefixCache by number; who owns both gives and takes them.
class Sequence {
 public:
  // What all choices of a request share; outlives them.
  struct Shared {
    const Request& request;
    const Tokenizer& tokenizer;
    std::int32_t vocabulary = 0;  // W
    std::int64_t room = 0;        // tokens of one sequence
  };
  // Throws Error(usage) for sampling parameters and stop strings that cannot be.
  Sequence(const Shared& shared, int choice, std::uint64_t order);

  // What the scheduler is told.
  const Candidate& candidate() const { return candidate_; }
  Candidate& candidate() { return candidate_; }

  int choice() const { return choice_; }
  std::span<const TokenId> tokens() const { return tokens_; }
  std::span<const TokenId> prompt() const { return tokens().first(shared_.request.prompt.size()); }
  std::span<const TokenId> generated() const {
    return tokens().subspan(shared_.request.prompt.size());
  }
  std::int64_t computed() const { return candidate_.computed; }
  // Whole prompts are computed when something of each of their rows is wanted.
  bool uses_cached_prefix() const;

  // Pages, in order of position.
  std::span<const std::int32_t> pages() const { return pages_; }
  void push_page(std::int32_t page);
  void replace_page(std::size_t index, std::int32_t page) { pages_[index] = page; }
  // Gives the pages up -> they, in order of position; nothing is computed any more.
  std::vector<std::int32_t> drop_pages();
  // Takes over what `leader`, a choice of the same request that has computed the prompt and nothing
  // more, holds: `pages` are its own from now on.
  void fork(const Sequence& leader, std::vector<std::int32_t> pages);
  void advance(std::int64_t rows) { candidate_.computed += rows; }

  // The chain of whole pages that are known to the cache.
  PageChain& chain() { return chain_; }
  std::size_t chained() const { return chained_; }  // pages
  // Page `chained()`, whose tokens are all known.
  PrefixCache::PageTokens next_page_tokens() const;
  const PageKey& next_key();  // of that page
  void chain_moved();         // by one page

  // Draws the next token, from any thread: grammar, reasoning budget, penalties, seed. The numbers
  // are of the logits [W] and of the tokens before, of nothing else. Remembers it or the error.
  void choose(std::span<const float> logits, ChoiceScratch& scratch);
  const std::string& error() const { return error_; }
  ErrorKind error_kind() const { return error_kind_; }
  void set_error(std::string error) { error_ = std::move(error); }
  // Says the token that was drawn -> whether that was the last.
  Finish take_choice();
  // Ends the text, in whatever way the choice ends.
  void end() { text_.end(); }
  AnswerText::Piece take_text() { return text_.take(); }
  const std::string& stop() const { return text_.matched(); }

  std::int64_t completion_tokens() const {
    return static_cast<std::int64_t>(tokens_.size() - shared_.request.prompt.size());
  }
  Clock::time_point first_token{};

 private:
  std::int64_t tokens_left() const;  // that may still be said
  bool must_go_on() const { return completion_tokens() < shared_.request.min_tokens; }
  std::optional<TokenId> forced(std::span<const std::uint64_t> mask) const;
  // Fills the mask if a grammar asks for one -> it, or empty.
  std::span<const std::uint64_t> allowed(ChoiceScratch& scratch) const;
  void watch_close();
  Finish finish_of(TokenId token) const;

  Shared shared_;
  int choice_;
  Candidate candidate_;
  std::vector<TokenId> tokens_;
  std::vector<std::int32_t> pages_;
  PageChain first_chain_, chain_;
  std::size_t chained_ = 0;
  std::optional<PageKey> next_key_;
  Sampler sampler_;
  std::optional<GrammarState> grammar_;
  std::vector<TokenId> end_ids_;  // end tokens and stop ids
  AnswerText text_;
  std::size_t closing_ = 0;  // tokens of ReasoningBudget::close that the answer ends with
  enum class Reasoning : std::uint8_t { open, closed } reasoning_ = Reasoning::open;
  TokenLogprob chosen_;
  std::string error_;
  ErrorKind error_kind_ = ErrorKind::failure;
};

}  // namespace nautile::engine
