// echo_speaker.cpp — which token comes next, and which of its text may go out.
#include "server/echo_speaker.h"

#include <algorithm>
#include <bit>
#include <utility>

namespace nautile::server {

using engine::Event;
using engine::Finish;

engine::TokenLogprob echo_logprob(TokenId id, int count, std::int32_t vocabulary) {
  engine::TokenLogprob token{id, -0.1F * static_cast<float>(1 + id % 7), {}};
  for (int i = 0; i < count; ++i) {
    token.top.push_back({(id + i) % vocabulary, token.logprob - 0.5F * static_cast<float>(i)});
  }
  return token;
}

EchoSpeaker::EchoSpeaker(const Tokenizer& tokenizer, const engine::Request& request, int choice,
                         std::vector<TokenId> plan, std::int64_t room)
    : request_(request),
      choice_(choice),
      vocabulary_(tokenizer.vocab_size()),
      end_ids_(tokenizer.stop_ids()),
      detokenizer_(tokenizer,
                   request.special == engine::Special::shown ? SkipSpecial::no : SkipSpecial::yes),
      stops_(request.stops),
      plan_(std::move(plan)) {
  std::erase_if(plan_, [&](TokenId id) {
    const auto bias = request.sampling.logit_bias.find(id);
    return bias != request.sampling.logit_bias.end() && bias->second <= -100;
  });
  const bool fits = request.max_tokens > 0 && request.max_tokens <= room;
  most_ = fits ? request.max_tokens : room;
  at_most_ = fits ? Finish::length : Finish::context;
  if (request.grammar) grammar_.emplace(request.grammar);
}

bool EchoSpeaker::say(Event& event) {
  event.choice = choice_;
  if (said() == most_) return end(event, at_most_, "");
  const TokenId id = next();
  history_.push_back(id);
  if (ends(id)) return end(event, Finish::end, "");
  const bool counts = said() > request_.min_tokens;
  if (counts && std::count(request_.stop_ids.begin(), request_.stop_ids.end(), id) > 0) {
    return end(event, Finish::stop, "");
  }
  held_.push_back({echo_logprob(id, std::max(request_.top_logprobs, 0), vocabulary_), spoken_});
  const std::string text = detokenizer_.feed(id);
  spoken_ += text.size();
  let_out(event, counts ? stops_.feed(text) : text);
  if (stops_.stopped()) return end(event, Finish::stop, stops_.matched());
  return said() == most_ && end(event, at_most_, "");
}

bool EchoSpeaker::ends(TokenId id) const {
  return std::binary_search(end_ids_.begin(), end_ids_.end(), id) &&
         request_.end_token == engine::EndToken::ends && said() > request_.min_tokens;
}

TokenId EchoSpeaker::next() {
  const TokenId close = closing();
  if (close == kNoToken) return grammar_ ? by_grammar() : planned();
  if (grammar_) grammar_->accept(close);
  return close;
}

// The plan's next token; then an end, or the plan again while there must be more.
TokenId EchoSpeaker::planned() {
  if (at_ < plan_.size()) return plan_[at_++];
  const bool more = end_ids_.empty() || request_.end_token == engine::EndToken::ignored ||
                    said() < request_.min_tokens;
  if (!more) return end_ids_.front();
  if (plan_.empty()) return 0;
  at_ = 1;
  return plan_[0];
}

// The plan's next token if the grammar admits it; from the first that it does not, the shortest way
// out.
TokenId EchoSpeaker::by_grammar() {
  std::vector<std::uint64_t> mask(grammar_->grammar().vocabulary().mask_words());
  if (!lost_) {
    grammar_->allowed(mask, static_cast<std::uint32_t>(most_ - said()));
    const TokenId id = planned();
    const auto word = static_cast<std::size_t>(id) / 64;
    const bool allowed = word < mask.size() && (mask[word] >> (id % 64) & 1) != 0;
    if (allowed && grammar_->accept(id)) return id;
    lost_ = true;
  }
  grammar_->allowed(mask, grammar_->tokens_to_end());
  std::size_t word = 0;
  while (mask[word] == 0) ++word;
  const auto id =
      static_cast<TokenId>(word * 64 + static_cast<std::size_t>(std::countr_zero(mask[word])));
  grammar_->accept(id);
  return id;
}

// A token of the reasoning's close, where its budget is used up.
TokenId EchoSpeaker::closing() {
  if (!request_.reasoning || closed_) return kNoToken;
  const auto& close = request_.reasoning->close;
  if (closing_ == 0) {
    closed_ = history_.size() >= close.size() &&
              std::equal(close.rbegin(), close.rend(), history_.rbegin());
    if (closed_ || said() < request_.reasoning->tokens) return kNoToken;
  }
  const TokenId id = close[closing_++];
  closed_ = closing_ == close.size();
  if (closed_) {  // what was planned goes on behind its own close
    const auto own = std::search(plan_.begin(), plan_.end(), close.begin(), close.end());
    if (own != plan_.end()) at_ = static_cast<std::size_t>(own - plan_.begin()) + close.size();
  }
  return id;
}

void EchoSpeaker::let_out(Event& event, const std::string& text) {
  event.text += text;
  out_ += text.size();
  while (!held_.empty() && (held_.front().begin < out_ || out_ == spoken_)) {
    event.tokens.push_back(std::move(held_.front().token));
    held_.pop_front();
  }
}

bool EchoSpeaker::end(Event& event, Finish finish, std::string stop) {
  if (!stops_.stopped()) {
    const std::string rest = detokenizer_.flush();
    spoken_ += rest.size();
    std::string out = stops_.feed(rest);
    if (stops_.stopped()) {
      finish = Finish::stop;
      stop = stops_.matched();
    } else {
      out += stops_.flush();
    }
    let_out(event, out);
  }
  event.finish = finish;
  event.stop = std::move(stop);
  return true;
}

}  // namespace nautile::server
