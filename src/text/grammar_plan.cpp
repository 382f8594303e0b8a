#include "text/grammar_plan.h"

#include <algorithm>
#include <map>

#include "base/error.h"
#include "base/printable.h"
#include "text/grammar_gbnf.h"
#include "text/grammar_json.h"
#include "text/grammar_regex.h"
#include "text/grammar_schema.h"

namespace nautile {
namespace {

constexpr std::size_t kMaxTriggers = 16, kMaxTriggerBytes = 64, kMaxChoices = 1024;

// Text whose special tokens' spellings are those tokens.
ExprId literal(GrammarRules& rules, std::string_view text, const GrammarVocabulary& vocabulary) {
  std::vector<ExprId> parts;
  std::size_t plain_from = 0;
  for (std::size_t at = 0; at < text.size();) {
    // The longest special token here.
    std::size_t longest = 0;
    TokenId id = kNoToken;
    for (const auto& [name, token] : vocabulary.special()) {
      if (name.size() > longest && text.substr(at, name.size()) == name) {
        longest = name.size();
        id = token;
      }
    }
    if (longest == 0) {
      ++at;
      continue;
    }
    parts.push_back(rules.literal(text.substr(plain_from, at - plain_from)));
    parts.push_back(rules.token(id));
    plain_from = at += longest;
  }
  parts.push_back(rules.literal(text.substr(plain_from)));
  return rules.seq(parts);
}

ExprId grammar(GrammarRules& rules, const GrammarSpec& spec, const GrammarVocabulary& vocabulary) {
  switch (spec.kind) {
    case GrammarKind::json_schema:
      return add_json_schema(rules, spec.text, spec.space);
    case GrammarKind::json_object:
      return JsonParts(rules, spec.space).object();
    case GrammarKind::gbnf:
      return add_gbnf(rules, spec.text, vocabulary);
    case GrammarKind::regex:
      return add_regex(rules, spec.text);
    case GrammarKind::literal:
      return literal(rules, spec.text, vocabulary);
  }
  return GrammarRules::kNever;
}

// Bytes until one of the triggers has been said, then `next`: an automaton of how much of which is
// said (Aho and Corasick), with a rule for each of its states.
class FreeTextRules {
 public:
  FreeTextRules(GrammarRules& rules, const FreeText& free, const GrammarVocabulary& vocabulary,
                ExprId next)
      : rules_(rules), next_(next) {
    NAUTILE_CHECK(!free.until.empty() && free.until.size() <= kMaxTriggers,
                  "free text until one of {} texts: 1 to {} are possible", free.until.size(),
                  kMaxTriggers);
    std::vector<ExprId> tokens;
    for (const std::string& text : free.until) {
      NAUTILE_CHECK(!text.empty() && text.size() <= kMaxTriggerBytes,
                    "free text until \"{}\": 1 to {} bytes are possible", printable(text),
                    kMaxTriggerBytes);
      add(text);
      if (const auto special = vocabulary.special().find(text);
          special != vocabulary.special().end()) {
        tokens.push_back(rules_.seq({rules_.token(special->second), next_}));
      }
    }
    for (std::size_t i = 0; i < said_.size(); ++i) ids_.push_back(rules_.add_rule("free text"));
    if (free.end == FreeText::End::anywhere) tokens.push_back(GrammarRules::kEmpty);
    for (std::size_t i = 0; i < said_.size(); ++i) define(i, tokens);
  }

  ExprId call() { return rules_.call(ids_[0]); }

 private:
  void add(const std::string& trigger) {
    triggers_.push_back(trigger);
    for (std::size_t n = 0; n < trigger.size(); ++n) {
      const std::string prefix = trigger.substr(0, n);
      if (std::find(said_.begin(), said_.end(), prefix) == said_.end()) said_.push_back(prefix);
    }
  }

  void define(std::size_t i, const std::vector<ExprId>& always) {
    // What each byte leads to: the end of a trigger, or the longest prefix of one.
    std::map<std::size_t, std::vector<std::uint8_t>> by_target;
    const std::size_t done = said_.size();
    for (int b = 0; b < 256; ++b) {
      const std::string now = said_[i] + static_cast<char>(b);
      std::size_t target = 0, length = 0;
      for (const std::string& trigger : triggers_) {
        if (now.ends_with(trigger)) target = done;
      }
      for (std::size_t k = 0; target != done && k < said_.size(); ++k) {
        if (said_[k].size() >= length && now.ends_with(said_[k])) {
          target = k;
          length = said_[k].size();
        }
      }
      by_target[target].push_back(static_cast<std::uint8_t>(b));
    }
    std::vector<ExprId> ways = always;
    for (const auto& [target, bytes] : by_target) {
      const ExprId rest = target == done ? next_ : rules_.call(ids_[target]);
      for (std::size_t k = 0; k < bytes.size();) {
        std::size_t end = k + 1;
        while (end < bytes.size() && bytes[end] == bytes[end - 1] + 1) ++end;
        ways.push_back(rules_.seq({rules_.bytes(bytes[k], bytes[end - 1]), rest}));
        k = end;
      }
    }
    rules_.define(ids_[i], rules_.alt(ways));
  }

  GrammarRules& rules_;
  ExprId next_;
  std::vector<std::string> triggers_;
  std::vector<std::string> said_;  // proper prefixes of triggers; the empty one first
  std::vector<RuleId> ids_;
};

}  // namespace

RuleId add_plan(GrammarRules& rules, const GrammarPlan& plan, const GrammarVocabulary& vocabulary) {
  NAUTILE_CHECK(plan.choices.size() <= kMaxChoices && !plan.choices.empty(),
                "a plan of {} choices: 1 to {} are possible", plan.choices.size(), kMaxChoices);
  NAUTILE_CHECK(plan.answers.size() <= kMaxChoices, "a plan of {} answers: at most {} are possible",
                plan.answers.size(), kMaxChoices);
  NAUTILE_CHECK(plan.least >= 1 && plan.least <= plan.most,
                "between {} and {} choices: at least one, and no fewer than the least", plan.least,
                plan.most);
  const auto one_of = [&](const std::vector<GrammarPlan::Parts>& alternatives) {
    std::vector<ExprId> ways;
    for (const GrammarPlan::Parts& parts : alternatives) {
      std::vector<ExprId> exprs;
      for (const GrammarSpec& part : parts) exprs.push_back(grammar(rules, part, vocabulary));
      ways.push_back(rules.seq(exprs));
    }
    return rules.alt(ways);
  };
  const ExprId choice = rules.call(rules.add_rule("choice", one_of(plan.choices)));
  const ExprId more = rules.seq({literal(rules, plan.separator, vocabulary), choice});
  const std::uint32_t most = plan.most == GrammarPlan::kForever ? plan.most : plan.most - 1;
  ExprId whole = rules.seq({literal(rules, plan.opening, vocabulary), choice,
                            rules.repeat(more, plan.least - 1, most),
                            literal(rules, plan.closing, vocabulary)});
  if (!plan.answers.empty()) whole = rules.alt({whole, one_of(plan.answers)});
  for (auto free = plan.free_texts.rbegin(); free != plan.free_texts.rend(); ++free) {
    const ExprId next = rules.call(rules.add_rule("after free text", whole));
    const ExprId blank =
        rules.alt({rules.bytes('\t', '\n'), rules.literal("\r"), rules.literal(" ")});
    const ExprId after = rules.seq({rules.repeat(blank, 0, free->blanks), next});
    whole = FreeTextRules(rules, *free, vocabulary, after).call();
    if (!free->opened_by.empty()) {
      whole = rules.alt({rules.seq({literal(rules, free->opened_by, vocabulary), whole}), next});
    }
  }
  return rules.add_rule("root", whole);
}

}  // namespace nautile
