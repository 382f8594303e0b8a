// grammar_testing.h — a small vocabulary and questions to grammars, for tests.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/peak_memory_testing.h"
#include "text/grammar.h"
#include "text/tokenizer_testing.h"

namespace nautile {

// What one grammar may take, however hostile: its network, at most 2,000,000 nodes of 32 bytes, an
// automaton of its greatest size, and masks.
constexpr std::size_t kMostHostileBytes = std::size_t{512} << 20;

constexpr TokenId kTestEnd = 256, kTestThink = 257, kTestCall = 258;

// Bytes, an end token, "</think>" and "<call>" as special tokens, and pieces that cross borders.
inline const GrammarVocabulary& test_vocabulary() {
  static const GrammarVocabulary kVocabulary = [] {
    std::vector<std::string> tokens;
    for (int b = 0; b < 256; ++b) tokens.emplace_back(1, static_cast<char>(b));
    tokens.resize(259);
    for (const char* piece :
         {"{\"",      "\":",   "\",\"",    "\"}",  "\"]",      "}}",
          "],",       ", ",    "\": ",     "[[",   "true",     "false",
          "null",     "name",  "value",    "ab",   "abc",      "bc",
          "aa",       "aaaa",  "12",       "123",  "0.",       "e+",
          "-1",       "\\u",   "\\n",      "\n  ", "\xC3\xA9", "\xE4\xBD\xA0\xE5\xA5\xBD",
          "\xE4\xBD", "a\xE4", "\xBD\xA0", "call", "<",        "</think>",
          "\":\"",    "\"a\"", "a\":1",    "}]",   " \"b\"",   "\",",
          "e\",\""}) {
      tokens.emplace_back(piece);
    }
    return GrammarVocabulary(tokens, {kTestEnd}, {{"</think>", kTestThink}, {"<call>", kTestCall}});
  }();
  return kVocabulary;
}

inline std::shared_ptr<const CompiledGrammar> compiled(const GrammarPlan& plan) {
  return std::make_shared<const CompiledGrammar>(plan, test_vocabulary());
}
inline std::shared_ptr<const CompiledGrammar> compiled(GrammarKind kind, std::string text,
                                                       JsonSpace space = JsonSpace::flexible) {
  return compiled(GrammarPlan::of({kind, std::move(text), space}));
}

// Whether the text, byte by byte, is all that the grammar wants.
inline bool matches(const std::shared_ptr<const CompiledGrammar>& grammar, std::string_view text) {
  GrammarState state(grammar);
  for (const char c : text) {
    if (!state.accept(static_cast<unsigned char>(c))) return false;
  }
  return state.may_end();
}

inline std::vector<TokenId> allowed_tokens(const GrammarState& state,
                                           std::uint32_t budget = GrammarState::kNoBudget) {
  const GrammarVocabulary& vocabulary = state.grammar().vocabulary();
  std::vector<std::uint64_t> mask(vocabulary.mask_words());
  state.allowed(mask, budget);
  std::vector<TokenId> ids;
  for (TokenId id = 0; id < vocabulary.size(); ++id) {
    if ((mask[static_cast<std::size_t>(id) / 64] >> (id % 64) & 1) != 0) ids.push_back(id);
  }
  return ids;
}

}  // namespace nautile
