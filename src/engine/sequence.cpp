#include "engine/sequence.h"

#include <algorithm>
#include <bit>
#include <limits>

#include "base/error.h"

namespace nautile::engine {
namespace {

SamplingParams params_of(const Request& request, int choice) {
  SamplingParams params = request.sampling;
  params.seed += static_cast<std::uint64_t>(choice);
  return params;
}

bool among(const std::vector<TokenId>& tokens, TokenId token) {
  return std::find(tokens.begin(), tokens.end(), token) != tokens.end();
}

}  // namespace

TokenLogprob told_token(TokenId token, int count, std::span<const float> logits,
                        const Normalizer& model, ChoiceScratch& scratch) {
  TokenLogprob told{token, model.logprob(logits[static_cast<std::size_t>(token)]), {}};
  if (count <= 0) return told;
  likeliest(logits, static_cast<std::size_t>(count), scratch.top);
  for (const RankedLogit& one : scratch.top)
    told.top.push_back({one.token, model.logprob(one.logit)});
  return told;
}

TokenLogprob told_token(TokenId token, int count, std::span<const float> logits,
                        ChoiceScratch& scratch) {
  scratch.sampler.weights.resize(logits.size());
  return told_token(token, count, logits, normalizer(logits, scratch.sampler.weights), scratch);
}

Sequence::Sequence(const Shared& shared, int choice, std::uint64_t order)
    : shared_(shared),
      choice_(choice),
      tokens_(shared.request.prompt),
      first_chain_(PrefixCache::begin(shared.request.user)),
      chain_(first_chain_),
      sampler_(params_of(shared.request, choice), shared.vocabulary),
      text_(shared.tokenizer,
            shared.request.special == Special::shown ? SkipSpecial::no : SkipSpecial::yes,
            shared.request.stops) {
  const Request& request = shared.request;
  candidate_.priority = request.priority;
  candidate_.order = order;
  candidate_.known = static_cast<std::int64_t>(tokens_.size());
  if (request.grammar) grammar_.emplace(request.grammar);
  if (request.end_token == EndToken::ends) end_ids_ = shared.tokenizer.stop_ids();
  end_ids_.insert(end_ids_.end(), request.stop_ids.begin(), request.stop_ids.end());
}

bool Sequence::uses_cached_prefix() const {
  const Request& request = shared_.request;
  return request.task == Task::generate && (request.prompt_logprobs < 0 || completion_tokens() > 0);
}

void Sequence::push_page(std::int32_t page) {
  pages_.push_back(page);
  candidate_.pages = static_cast<std::int64_t>(pages_.size());
}

std::vector<std::int32_t> Sequence::drop_pages() {
  candidate_.pages = candidate_.computed = 0;
  chain_ = first_chain_;
  chained_ = 0;
  next_key_.reset();
  return std::exchange(pages_, {});
}

void Sequence::fork(const Sequence& leader, std::vector<std::int32_t> pages) {
  pages_ = std::move(pages);
  candidate_.pages = static_cast<std::int64_t>(pages_.size());
  candidate_.computed = leader.candidate_.computed;
  chain_ = leader.chain_;
  chained_ = leader.chained_;
  next_key_.reset();
}

PrefixCache::PageTokens Sequence::next_page_tokens() const {
  constexpr std::size_t kTokens = KvPages::kPageTokens;
  return PrefixCache::PageTokens(tokens_.data() + chained_ * kTokens, kTokens);
}

const PageKey& Sequence::next_key() {
  if (!next_key_) next_key_ = PrefixCache::next_key(chain_, next_page_tokens());
  return *next_key_;
}

void Sequence::chain_moved() {
  ++chained_;
  next_key_.reset();
}

std::int64_t Sequence::tokens_left() const {
  const std::int64_t room = shared_.room - static_cast<std::int64_t>(tokens_.size());
  const std::int64_t most = shared_.request.max_tokens;
  return most > 0 ? std::min(room, most - completion_tokens()) : room;
}

std::span<const std::uint64_t> Sequence::allowed(ChoiceScratch& scratch) const {
  if (!grammar_) return {};
  scratch.mask.resize(grammar_->grammar().vocabulary().mask_words());
  const std::int64_t left =
      std::min<std::int64_t>(tokens_left(), GrammarState::kNoBudget - std::int64_t{1});
  grammar_->allowed(scratch.mask, static_cast<std::uint32_t>(std::max<std::int64_t>(left, 0)));
  if (!must_go_on()) return scratch.mask;
  // What may only end now ends, whatever min_tokens asks.
  const auto bit = [](TokenId id) { return std::uint64_t{1} << (static_cast<unsigned>(id) % 64); };
  const auto word = [&](TokenId id) -> std::uint64_t& {
    return scratch.mask[static_cast<std::size_t>(id) / 64];
  };
  std::vector<TokenId> cleared;
  for (const TokenId id : end_ids_) {
    if (id < 0 || static_cast<std::size_t>(id) / 64 >= scratch.mask.size()) continue;
    if ((word(id) & bit(id)) != 0) cleared.push_back(id);
    word(id) &= ~bit(id);
  }
  const bool none = std::all_of(scratch.mask.begin(), scratch.mask.end(),
                                [](std::uint64_t bits) { return bits == 0; });
  for (const TokenId id : cleared) word(id) |= none ? bit(id) : 0;
  return scratch.mask;
}

// The reasoning budget's token, unless a grammar has no place for it.
std::optional<TokenId> Sequence::forced(std::span<const std::uint64_t> mask) const {
  const std::optional<ReasoningBudget>& budget = shared_.request.reasoning;
  if (!budget || reasoning_ == Reasoning::closed || completion_tokens() < budget->tokens)
    return std::nullopt;
  const TokenId token = budget->close[closing_];
  const std::size_t word = static_cast<std::size_t>(token) / 64;
  if (mask.empty()) return token;
  if (word >= mask.size() || (mask[word] >> (token % 64) & 1) == 0) return std::nullopt;
  return token;
}

void Sequence::choose(std::span<const float> logits, ChoiceScratch& scratch) {
  try {
    const int top = shared_.request.top_logprobs;
    const std::span<const std::uint64_t> mask = allowed(scratch);
    if (const std::optional<TokenId> token = forced(mask)) {
      chosen_ = told_token(*token, top, logits, scratch);
    } else {
      SampleFrom from{.logits = logits,
                      .prompt = prompt(),
                      .generated = generated(),
                      .position = static_cast<std::int64_t>(tokens_.size()),
                      .allowed = mask};
      if (mask.empty() && must_go_on()) from.banned = end_ids_;
      const Sampled drawn = sampler_.sample(from, scratch.sampler);
      chosen_ = told_token(drawn.token, top, logits, drawn.model, scratch);
    }
    if (grammar_ && !grammar_->accept(chosen_.token))
      fail(ErrorKind::failure, "token {} fits the grammar's mask and not the grammar",
           chosen_.token);
  } catch (const Error& error) {
    error_ = error.what();
    error_kind_ = error.kind();
  } catch (const std::exception& error) {
    error_ = error.what();
  }
}

void Sequence::watch_close() {
  const std::optional<ReasoningBudget>& budget = shared_.request.reasoning;
  if (!budget || reasoning_ == Reasoning::closed) return;
  // The longest beginning of `close` that the answer ends with now.
  const std::span<const TokenId> said = generated();
  const std::vector<TokenId>& close = budget->close;
  std::size_t longest = std::min({closing_ + 1, close.size(), said.size()});
  while (longest > 0 &&
         !std::equal(close.begin(), close.begin() + static_cast<std::ptrdiff_t>(longest),
                     said.end() - static_cast<std::ptrdiff_t>(longest)))
    --longest;
  closing_ = longest;
  if (closing_ == close.size()) reasoning_ = Reasoning::closed;
}

Finish Sequence::finish_of(TokenId token) const {
  const Request& request = shared_.request;
  if (grammar_ && grammar_->ended()) return Finish::end;
  if (request.end_token == EndToken::ends && among(shared_.tokenizer.stop_ids(), token))
    return Finish::end;
  if (among(request.stop_ids, token)) return Finish::stop;
  return Finish::none;
}

Finish Sequence::take_choice() {
  const TokenId token = chosen_.token;
  tokens_.push_back(token);
  candidate_.known = static_cast<std::int64_t>(tokens_.size());
  watch_close();
  const Finish ended = finish_of(token);
  if (ended != Finish::none) return ended;
  const bool watched = completion_tokens() >= shared_.request.min_tokens;
  text_.feed(std::move(chosen_),
             watched ? AnswerText::Stops::watched : AnswerText::Stops::unwatched);
  if (text_.stopped()) return Finish::stop;
  if (shared_.request.max_tokens > 0 && completion_tokens() >= shared_.request.max_tokens)
    return Finish::length;
  return tokens_left() <= 0 ? Finish::context : Finish::none;
}

}  // namespace nautile::engine
