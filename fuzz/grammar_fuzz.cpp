// grammar_fuzz.cpp — foreign schemas, grammars and regular expressions, and walks along what
// compiles.
//
// The first byte chooses: s schema, c schema in compact form, g GBNF, else a regular expression. A
// byte 0xFF ends it; the rest are choices among the allowed tokens.
#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/error.h"
#include "text/grammar.h"

namespace {

const nautile::GrammarVocabulary& vocabulary() {
  static const nautile::GrammarVocabulary kVocabulary = [] {
    std::vector<std::string> tokens;
    for (int b = 0; b < 256; ++b) tokens.emplace_back(1, static_cast<char>(b));
    tokens.emplace_back();
    for (const char* piece :
         {"{\"", "\":", "\"}", "],", ", ", "ab", "12", "\\u", "\xE4\xBD", "true"}) {
      tokens.emplace_back(piece);
    }
    return nautile::GrammarVocabulary(tokens, {256});
  }();
  return kVocabulary;
}

// Whatever is chosen, the text ends within its budget.
void walk(std::shared_ptr<const nautile::CompiledGrammar> grammar, std::string_view choices) {
  using namespace nautile;
  std::uint32_t budget = grammar->least_tokens() + static_cast<std::uint32_t>(choices.size() % 8);
  if (budget > 200) return;
  GrammarState state(std::move(grammar));
  std::vector<std::uint64_t> mask(vocabulary().mask_words());
  for (std::size_t step = 0; !state.ended(); ++step, --budget) {
    NAUTILE_ASSERT(budget > 0, "the budget is used up");
    state.allowed(mask, budget);
    std::vector<TokenId> allowed;
    for (TokenId id = 0; id < vocabulary().size(); ++id) {
      if ((mask[static_cast<std::size_t>(id) / 64] >> (id % 64) & 1) != 0) allowed.push_back(id);
    }
    NAUTILE_ASSERT(!allowed.empty(), "no token is allowed");
    const auto choice =
        choices.empty() ? 0u : static_cast<unsigned char>(choices[step % choices.size()]);
    NAUTILE_ASSERT(state.accept(allowed[choice % allowed.size()]), "an allowed token is refused");
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace nautile;
  if (size == 0) return 0;
  const std::string_view input(reinterpret_cast<const char*>(data) + 1, size - 1);
  const std::size_t end = std::min(input.find('\xFF'), input.size());
  GrammarSpec spec{GrammarKind::regex, std::string(input.substr(0, end))};
  if (data[0] == 's' || data[0] == 'c') spec.kind = GrammarKind::json_schema;
  if (data[0] == 'c') spec.space = JsonSpace::compact;
  if (data[0] == 'g') spec.kind = GrammarKind::gbnf;
  try {
    walk(std::make_shared<const CompiledGrammar>(GrammarPlan::of(spec), vocabulary()),
         input.substr(std::min(end + 1, input.size())));
  } catch (const Error&) {
    // Expected for most inputs.
  }
  return 0;
}
