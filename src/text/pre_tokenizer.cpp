// pre_tokenizer.cpp — chains stages; general stages for patterns, strings, digits, prefix spaces.
#include "text/pre_tokenizer.h"

#include <algorithm>
#include <array>
#include <utility>

#include "base/error.h"
#include "text/bpe_vocab.h"
#include "text/split_known.h"
#include "text/split_regex.h"

namespace nautile {
namespace {

// Hands the pieces of one stage to the next one.
class Chain : public PieceSink {
 public:
  using Steps = std::vector<std::unique_ptr<const SplitStep>>;
  Chain(const Steps& steps, std::size_t index, PieceSink& out)
      : steps_(steps), index_(index), out_(out) {}
  void piece(std::string_view text) override {
    if (index_ == steps_.size()) return out_.piece(text);
    Chain next(steps_, index_ + 1, out_);
    steps_[index_]->split(text, index_ + 1 == steps_.size() ? out_ : next);
  }

 private:
  const Steps& steps_;
  std::size_t index_;
  PieceSink& out_;
};

struct Span {
  std::size_t begin;
  std::size_t end;
  bool is_match;
};

// Joins spans as the `tokenizers` library does; the result still covers the text but for removed
// matches.
std::vector<Span> arrange(const std::vector<Span>& spans, SplitBehavior behavior) {
  std::vector<Span> out;
  bool previous_match = false;
  switch (behavior) {
    case SplitBehavior::isolated:
      return spans;
    case SplitBehavior::removed:
      std::copy_if(spans.begin(), spans.end(), std::back_inserter(out),
                   [](const Span& s) { return !s.is_match; });
      return out;
    case SplitBehavior::contiguous:
      for (const Span& s : spans) {
        if (!out.empty() && s.is_match == previous_match) {
          out.back().end = s.end;
        } else {
          out.push_back(s);
        }
        previous_match = s.is_match;
      }
      return out;
    case SplitBehavior::merged_with_previous:
      for (const Span& s : spans) {
        if (s.is_match && !previous_match && !out.empty()) {
          out.back().end = s.end;
        } else {
          out.push_back(s);
        }
        previous_match = s.is_match;
      }
      return out;
    case SplitBehavior::merged_with_next:
      for (auto s = spans.rbegin(); s != spans.rend(); ++s) {
        if (s->is_match && !previous_match && !out.empty()) {
          out.back().begin = s->begin;
        } else {
          out.push_back(*s);
        }
        previous_match = s->is_match;
      }
      std::reverse(out.begin(), out.end());
      return out;
  }
  return out;
}

// A stage given by a list of matches.
class MatchStep : public SplitStep {
 public:
  MatchStep(SplitBehavior behavior, SplitInvert invert) : behavior_(behavior), invert_(invert) {}

  void split(std::string_view text, PieceSink& out) const override {
    std::vector<Span> spans;
    find(text, spans);
    if (spans.empty() || spans.back().end < text.size()) {
      spans.push_back({spans.empty() ? 0 : spans.back().end, text.size(), false});
    }
    if (invert_ == SplitInvert::yes) {
      for (Span& s : spans) s.is_match = !s.is_match;
    }
    for (const Span& s : arrange(spans, behavior_)) {
      if (s.end > s.begin) out.piece(text.substr(s.begin, s.end - s.begin));
    }
  }

 protected:
  // Appends matches and the gaps before them.
  virtual void find(std::string_view text, std::vector<Span>& spans) const = 0;
  static void add(std::vector<Span>& spans, std::size_t begin, std::size_t end) {
    const std::size_t last = spans.empty() ? 0 : spans.back().end;
    if (begin > last) spans.push_back({last, begin, false});
    spans.push_back({begin, end, true});
  }

 private:
  SplitBehavior behavior_;
  SplitInvert invert_;
};

class RegexStep : public MatchStep {
 public:
  RegexStep(const std::string& pattern, SplitBehavior behavior, SplitInvert invert)
      : MatchStep(behavior, invert), regex_(pattern) {}

 protected:
  void find(std::string_view text, std::vector<Span>& spans) const override {
    SplitRegex::Pass pass(regex_, text);
    std::size_t begin = 0, end = 0;
    while (pass.next(begin, end)) add(spans, begin, end);
  }

 private:
  SplitRegex regex_;
};

class StringStep : public MatchStep {
 public:
  StringStep(std::string literal, SplitBehavior behavior, SplitInvert invert)
      : MatchStep(behavior, invert), literal_(std::move(literal)) {}

 protected:
  void find(std::string_view text, std::vector<Span>& spans) const override {
    if (literal_.empty()) return;
    for (std::size_t at = text.find(literal_); at != text.npos;
         at = text.find(literal_, at + literal_.size())) {
      add(spans, at, at + literal_.size());
    }
  }

 private:
  std::string literal_;
};

class PrefixSpaceStep : public SplitStep {
 public:
  void split(std::string_view text, PieceSink& out) const override {
    if (text.starts_with(' ')) return out.piece(text);
    std::string with_space(1, ' ');
    with_space += text;
    out.piece(with_space);
  }
};

struct Named {
  std::string_view name;
  std::vector<std::string_view> patterns;
};

// Cased letters, as DeepSeek's V2 and LLM tokenizers list them.
constexpr std::string_view kDeepseekLlmLetters =
    R"(\s?[A-Za-zµÀ-ÖØ-öø-ƺƼ-ƿǄ-ʓʕ-ʯͰ-ͳͶͷͻ-ͽͿΆΈ-ΊΌΎ-ΡΣ-ϵϷ-ҁҊ-ԯԱ-ՖႠ-ჅᎠ-Ᏽᏸ-ᏽᲐ-ᲺᲽ-Ჿᴀ-ᴫᵫ-ᵷᵹ-ᶚḀ-ἕἘ-Ἕἠ-ὅὈ-Ὅὐ-ὗὙὛὝὟ-\u1F7Dᾀ-ᾴᾶ-ᾼ\u1FBEῂ-ῄῆ-ῌῐ-\u1FD3ῖ-\u1FDBῠ-Ῥῲ-ῴῶ-ῼℂℇℊ-ℓℕℙ-ℝℤ\u2126ℨ\u212A-ℭℯ-ℴℹℼ-ℿⅅ-ⅉⅎↃↄⰀ-ⱻⱾ-ⳤⳫ-ⳮⳲⳳꙀ-ꙭꚀ-ꚛꜢ-ꝯꝱ-ꞇꞋ-ꞎꭰ-ꮿﬀ-ﬆﬓ-ﬗＡ-Ｚａ-ｚ𐐀-𐑏𐒰-𐓓𐓘-𐓻𐲀-𐲲𐳀-𐳲𑢠-𑣟𞤀-𞥃]+)";
constexpr std::string_view kDeepseekLlmCjk = "[一-龥ࠀ-一가-\uD7FF]+";

const std::vector<Named>& named() {
  using namespace patterns;
  static const std::vector<Named> all = {
      {"deepseek-v3", {kDeepseekNumbers, kDeepseekCjk, kDeepseekWords}},
      {"deepseek-llm",
       {"[\r\n]", kDeepseekLlmLetters, R"(\s?[!-/:-~！-／：-～‘-‟　-。]+)", kTrailingSpace,
        kDeepseekLlmCjk, kNumberRuns}},
      {"deepseek-coder",
       {"[\r\n]", R"(\s?\p{L}+)", R"(\s?\p{P}+)", kDeepseekLlmCjk, kSingleNumber}},
      {"llama-bpe", {kLlamaBpe}},
      {"llama3", {kLlamaBpe}},
      {"llama-v3", {kLlamaBpe}},
      {"qwen2", {kQwen2}},
      {"deepseek-r1-qwen", {kQwen2}},
      {"gpt-2", {kGpt2}},
      {"smollm", {kSingleNumber, kGpt2}},
      {"starcoder", {kSingleNumber, kGpt2}},
      {"refact", {kSingleNumber, kGpt2}},
      {"command-r", {kSingleNumber, kGpt2}},
      {"codeshell", {kSingleNumber, kGpt2}},
      {"kimi-k2", {kKimiK2}},
  };
  return all;
}

}  // namespace

void PreTokenizer::split(std::string_view text, PieceSink& out) const {
  if (!text.empty()) Chain(steps_, 0, out).piece(text);
}

std::unique_ptr<const SplitStep> make_regex_step(const std::string& pattern, SplitBehavior behavior,
                                                 SplitInvert invert) {
  // Isolated pieces are the same whichever half is called the match.
  if (behavior == SplitBehavior::isolated) {
    if (auto known = make_known_step(pattern)) return known;
  }
  return std::make_unique<RegexStep>(pattern, behavior, invert);
}

std::unique_ptr<const SplitStep> make_string_step(const std::string& literal,
                                                  SplitBehavior behavior, SplitInvert invert) {
  return std::make_unique<StringStep>(literal, behavior, invert);
}

std::unique_ptr<const SplitStep> make_digits_step(DigitRuns runs) {
  return make_known_step(runs == DigitRuns::single ? patterns::kSingleNumber
                                                   : patterns::kNumberRuns);
}

std::unique_ptr<const SplitStep> make_prefix_space_step() {
  return std::make_unique<PrefixSpaceStep>();
}

PreTokenizer pre_tokenizer_by_name(std::string_view pre) {
  std::string known;
  for (const Named& n : named()) {
    if (n.name == pre) {
      PreTokenizer result;
      for (const std::string_view pattern : n.patterns) {
        result.add(make_regex_step(std::string(pattern), SplitBehavior::isolated, SplitInvert::no));
      }
      return result;
    }
    known.append(known.empty() ? "" : ", ").append(n.name);
  }
  fail(ErrorKind::unsupported, "unknown pre-tokenizer \"{}\"; known: {}", brief(pre), known);
}

}  // namespace nautile
