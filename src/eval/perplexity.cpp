#include "eval/perplexity.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <string>

#include "base/error.h"

namespace nautile::eval {

double PerplexityResult::perplexity() const {
  return std::exp(nats_per_token());
}

double PerplexityResult::bits_per_byte() const {
  return bytes > 0 ? nats / std::numbers::ln2 / static_cast<double>(bytes) : 0;
}

double negative_log_probability(std::span<const float> logits, TokenId token) {
  const float largest = *std::max_element(logits.begin(), logits.end());
  double sum = 0;
  for (const float logit : logits) sum += static_cast<double>(std::exp(logit - largest));
  return std::log(sum) + static_cast<double>(largest) -
         static_cast<double>(logits[static_cast<std::size_t>(token)]);
}

namespace {

// The windows of one text, one after the other.
class Windows {
 public:
  Windows(engine::Session& session, const Tokenizer& tokenizer, std::span<const TokenId> tokens,
          const PerplexityOptions& options, const PerplexityProgress& progress)
      : session_(session), tokenizer_(tokenizer), text_(tokens), progress_(progress) {
    if (options.max_tokens > 0) {
      const auto most = std::min<std::int64_t>(options.max_tokens, length());
      text_ = text_.first(static_cast<std::size_t>(most));
    }
    if (tokenizer.wants_bos() && tokenizer.bos()) bos_ = *tokenizer.bos();
    room_ = options.window - (bos_ >= 0 ? 1 : 0);
    stride_ = options.stride > 0 ? options.stride : room_;
    if (options.window > session.context() || room_ < 2) {
      fail(ErrorKind::usage, "a window of {} tokens: expected 3 to the context's {}",
           options.window, session.context());
    }
    if (stride_ > room_) {
      fail(ErrorKind::usage, "a stride of {} tokens leaves gaps between windows of {}", stride_,
           room_);
    }
  }

  PerplexityResult run() {
    for (std::int64_t begin = 0; begin < length() && scored_ < length(); begin += stride_) {
      run_window(begin, std::min(begin + room_, length()));
    }
    return result_;
  }

 private:
  std::int64_t length() const { return static_cast<std::int64_t>(text_.size()); }

  void run_window(std::int64_t begin, std::int64_t end) {
    // The last token is foretold, never fed.
    std::vector<TokenId> fed;
    if (bos_ >= 0) fed.push_back(bos_);
    fed.insert(fed.end(), text_.begin() + begin, text_.begin() + end - 1);
    if (fed.empty()) return;
    // Row i foretells text token first + i.
    const std::int64_t first = bos_ >= 0 ? begin : begin + 1;
    session_.truncate(0);
    session_.append_all(fed, [&](std::int64_t row, Tensor logits) {
      for (std::int64_t i = 0; i < logits.rows(); ++i) score(first + row + i, logits, i);
      if (progress_) progress_(scored_, length(), result_);
    });
    scored_ = end;
  }

  void score(std::int64_t position, const Tensor& logits, std::int64_t row) {
    if (position < scored_) return;
    const TokenId token = text_[static_cast<std::size_t>(position)];
    NAUTILE_CHECK(token < logits.cols(), "token {} is beyond the model's {} rows", token,
                  logits.cols());
    result_.nats +=
        negative_log_probability({logits.row(row), static_cast<std::size_t>(logits.cols())}, token);
    std::string bytes;
    tokenizer_.append_bytes(token, SkipSpecial::no, bytes);
    result_.bytes += bytes.size();
    ++result_.tokens;
    scored_ = position + 1;
  }

  engine::Session& session_;
  const Tokenizer& tokenizer_;
  std::span<const TokenId> text_;
  const PerplexityProgress& progress_;
  TokenId bos_ = -1;
  std::int64_t room_ = 0, stride_ = 0;
  std::int64_t scored_ = 0;  // text tokens before this are done
  PerplexityResult result_;
};

}  // namespace

PerplexityResult perplexity(engine::Session& session, const Tokenizer& tokenizer,
                            std::span<const TokenId> tokens, const PerplexityOptions& options,
                            const PerplexityProgress& progress) {
  return Windows(session, tokenizer, tokens, options, progress).run();
}

}  // namespace nautile::eval
