// grammar_test.cpp — masks, budgets, plans and the cache, over a small vocabulary.
#include "text/grammar.h"

#include <gtest/gtest.h>

#include <random>
#include <set>
#include <thread>

#include "text/grammar_testing.h"

namespace nautile {
namespace {

using Tokens = std::vector<TokenId>;

// Grammars of every kind that the properties below are tried on.
std::vector<GrammarPlan> plans() {
  std::vector<GrammarPlan> all = {
      GrammarPlan::of({GrammarKind::json_object, ""}),
      GrammarPlan::of({GrammarKind::json_object, "", JsonSpace::compact}),
      GrammarPlan::of({GrammarKind::regex, "(ab|abc)*c?|[a-z]{3,7}é+"}),
      GrammarPlan::of({GrammarKind::regex, "(a|aa){2,300}b"}),
      GrammarPlan::of({GrammarKind::gbnf,
                       "root ::= \"a\" root \"b\" | \"a\" root \"c\" | \"ab\" | list\n"
                       "list ::= \"[\" (root (\",\" root)*)? \"]\""}),
  };
  for (const char* schema :
       {R"({"type":"object","properties":{"name":{"type":"string","maxLength":5},"value":{"type":
          "integer","minimum":-12,"maximum":123},"a":{"enum":[true,null,"ab",{"a":[1]}]}},
          "required":["name","a"],"additionalProperties":{"type":"boolean"}})",
        R"({"$ref":"#/$defs/t","$defs":{"t":{"anyOf":[{"type":"null"},{"type":"object","properties":
          {"a":{"$ref":"#/$defs/t"},"b":{"$ref":"#/$defs/t"}},"required":["a"]}]}}})",
        R"({"type":"array","items":{"type":"string","minLength":3,"maxLength":400},"minItems":2,
          "maxItems":900})",
        R"({"type":"array","prefixItems":[{"type":"string","pattern":"^(ab|c)+$","maxLength":9},
          {"type":"number","minimum":-0.5,"exclusiveMaximum":12.25}],"items":{"format":"date"}})"}) {
    all.push_back(GrammarPlan::of({GrammarKind::json_schema, schema}));
  }
  GrammarPlan calls;
  calls.free_texts = {{{"</think>"}, FreeText::End::trigger_only},
                      {{"<call>", "call"}, FreeText::End::anywhere}};
  calls.choices = {{{GrammarKind::literal, "name"}, {GrammarKind::json_object, ""}},
                   {{GrammarKind::literal, "<call>value"}, {GrammarKind::regex, "a+b"}}};
  calls.most = 3;
  calls.separator = ", ";
  calls.closing = "</think>";
  all.push_back(calls);
  return all;
}

// The mask says of every token what accept() says.
TEST(Grammar, MaskIsWhatIsAccepted) {
  std::mt19937 random(1);
  for (const GrammarPlan& plan : plans()) {
    const auto grammar = compiled(plan);
    for (int walk = 0; walk < 6; ++walk) {
      GrammarState state(grammar);
      for (int step = 0; step < 40 && !state.ended(); ++step) {
        const Tokens allowed = allowed_tokens(state);
        ASSERT_FALSE(allowed.empty());
        Tokens accepted;
        for (TokenId id = 0; id < test_vocabulary().size(); ++id) {
          GrammarState copy = state;
          if (copy.accept(id)) accepted.push_back(id);
        }
        ASSERT_EQ(allowed, accepted) << plan.choices[0][0].text;
        ASSERT_TRUE(state.accept(allowed[random() % allowed.size()]));
      }
    }
  }
}

// From the least budget up, every choice that the masks leave comes to an end in time.
TEST(Grammar, BudgetIsKept) {
  std::mt19937 random(2);
  for (const GrammarPlan& plan : plans()) {
    const auto grammar = compiled(plan);
    const std::uint32_t least = grammar->least_tokens();
    EXPECT_EQ(GrammarState(grammar).tokens_to_end(), least);
    for (std::uint32_t extra = 0; extra < 40; ++extra) {
      GrammarState state(grammar);
      std::uint32_t left = least + extra / 2;
      for (; left > 0 && !state.ended(); --left) {
        const Tokens allowed = allowed_tokens(state, left);
        ASSERT_FALSE(allowed.empty());
        ASSERT_TRUE(state.accept(allowed[random() % allowed.size()]));
        ASSERT_LE(state.tokens_to_end(), left - 1);
      }
      ASSERT_TRUE(state.ended()) << plan.choices[0][0].text;
    }
    std::vector<std::uint64_t> mask(test_vocabulary().mask_words());
    if (least == 1) continue;
    EXPECT_NE(error_of([&] {
                GrammarState(grammar).allowed(mask, least - 1);
              }).find(std::to_string(least)),
              std::string::npos);
  }
}

// A budget hides exactly the tokens after which it would not suffice.
TEST(Grammar, BudgetedMaskIsExact) {
  std::mt19937 random(3);
  for (const GrammarPlan& plan : plans()) {
    GrammarState state(compiled(plan));
    for (int step = 0; step < 25 && !state.ended(); ++step) {
      const Tokens allowed = allowed_tokens(state);
      for (const std::uint32_t more : {0u, 1u, 2u, 5u}) {
        const std::uint32_t budget = state.tokens_to_end() + more;
        Tokens expected;
        for (const TokenId id : allowed) {
          GrammarState copy = state;
          copy.accept(id);
          if (copy.tokens_to_end() <= budget - 1) expected.push_back(id);
        }
        ASSERT_EQ(allowed_tokens(state, budget), expected);
      }
      ASSERT_TRUE(state.accept(allowed[random() % allowed.size()]));
    }
  }
}

// Branches of a large vocabulary are taken at once where a text goes round and round: the masks
// stay what is accepted, and what a budget leaves of it.
TEST(Grammar, MasksOfManyTokensAreWhatIsAccepted) {
  std::mt19937 random(6);
  const std::vector<std::string> pieces = {"a", "b",  "c",  "1",      " ", "\"",   "\\",   ":",
                                           "é", "你", "好", "\u0085", "😀", "\xE4", "\xBD", "}"};
  std::set<std::string> words;
  while (words.size() < 1500) {
    std::string word;
    for (std::size_t n = 1 + random() % 6; n > 0; --n) word += pieces[random() % pieces.size()];
    words.insert(word);
  }
  std::vector<std::string> tokens;
  for (int b = 0; b < 256; ++b) tokens.emplace_back(1, static_cast<char>(b));
  tokens.emplace_back();
  for (const std::string& word : words) {
    if (word.size() > 1) tokens.push_back(word);
  }
  const GrammarVocabulary vocabulary(tokens, {256});
  std::vector<GrammarPlan> all;
  for (const char* regex :
       {"[^a]*", "([^好a]|好b)*c", "[a-c你]{0,9}é?", ".*好", "(.b|[^b]{2})*", "[^é]+é+"})
    all.push_back(GrammarPlan::of({GrammarKind::regex, regex}));
  for (
      const char* schema :
      {R"({"properties":{"ab":{"type":"null"},"a你":{"type":"boolean"}},"additionalProperties":{}})",
       R"({"type":"string","maxLength":7})", R"({"pattern":"^[^1]*$"})",
       R"({"type":"object","additionalProperties":{"type":"string","pattern":"[a你]"}})"})
    all.push_back(GrammarPlan::of({GrammarKind::json_schema, schema}));
  all.push_back({.free_texts = {{{"好1"}, FreeText::End::anywhere}},
                 .choices = {{{GrammarKind::regex, "[^a]{1,3}"}}}});
  for (const GrammarPlan& plan : all) {
    const auto grammar = std::make_shared<const CompiledGrammar>(plan, vocabulary);
    for (int walk = 0; walk < 3; ++walk) {
      GrammarState state(grammar);
      for (int step = 0; step < 7 && !state.ended(); ++step) {
        const std::uint32_t budget = state.tokens_to_end() + static_cast<std::uint32_t>(walk);
        Tokens accepted, affordable;
        for (TokenId id = 0; id < vocabulary.size(); ++id) {
          GrammarState copy = state;
          if (!copy.accept(id)) continue;
          accepted.push_back(id);
          if (copy.tokens_to_end() < budget) affordable.push_back(id);
        }
        ASSERT_EQ(allowed_tokens(state, budget), affordable) << plan.choices[0][0].text;
        ASSERT_EQ(allowed_tokens(state), accepted) << plan.choices[0][0].text;
        ASSERT_EQ(allowed_tokens(state, budget), affordable) << plan.choices[0][0].text;
        ASSERT_TRUE(state.accept(accepted[random() % accepted.size()]));
      }
    }
  }
}

TEST(Grammar, EndsOnlyWhenComplete) {
  const auto grammar = compiled(GrammarKind::regex, "ab?");
  GrammarState state(grammar);
  EXPECT_EQ(grammar->least_tokens(), 2u);
  EXPECT_FALSE(state.may_end());
  EXPECT_FALSE(state.accept(kTestEnd));
  EXPECT_FALSE(state.accept('b'));
  EXPECT_FALSE(state.accept(-1));
  EXPECT_FALSE(state.accept(100'000));
  EXPECT_FALSE(state.accept(kTestThink));
  EXPECT_TRUE(state.accept('a'));
  const GrammarState before = state;
  EXPECT_TRUE(state.may_end());
  EXPECT_TRUE(state.accept(kTestEnd));
  EXPECT_TRUE(state.ended());
  EXPECT_TRUE(allowed_tokens(state).empty());
  EXPECT_FALSE(state.accept('b'));
  state = before;  // back again
  EXPECT_EQ(allowed_tokens(state), (Tokens{'b', kTestEnd}));
}

TEST(Grammar, ForcedBytesRunUpToTheNextChoice) {
  const auto grammar =
      compiled(GrammarKind::json_schema, R"({"properties":{"name":{"enum":["value","via"]}},
                                             "required":["name"]})",
               JsonSpace::compact);
  GrammarState state(grammar);
  EXPECT_EQ(state.forced(), "{\"name\":\"v");
  for (const char c : std::string("{\"name\":\"va")) ASSERT_TRUE(state.accept(c));
  EXPECT_EQ(state.forced(), "lue\"}");
  for (const char c : std::string("lue\"}")) ASSERT_TRUE(state.accept(c));
  EXPECT_EQ(state.forced(), "");
  EXPECT_EQ(allowed_tokens(state), Tokens{kTestEnd});
}

// Characters come whole: what begins one can always end it.
TEST(Grammar, NeverHalfACharacter) {
  const auto grammar = compiled(GrammarKind::regex, "[你é]*");
  GrammarState state(grammar);
  ASSERT_TRUE(state.accept(0xE4));
  EXPECT_FALSE(state.may_end());
  EXPECT_EQ(state.tokens_to_end(), 2u);  // BD A0 is one token
  ASSERT_TRUE(state.accept(0xBD));
  EXPECT_FALSE(state.accept(0xA1));
  ASSERT_TRUE(state.accept(0xA0));
  EXPECT_TRUE(state.may_end());
}

TEST(Grammar, FreeTextRunsUntilATrigger) {
  GrammarPlan plan = GrammarPlan::of({GrammarKind::regex, "ab"});
  plan.free_texts = {{{"</think>"}, FreeText::End::trigger_only}};
  GrammarState state(compiled(plan));
  EXPECT_EQ(state.tokens_to_end(), 3u);  // </think>, ab, end
  for (const char c : std::string("so </thi </think")) ASSERT_TRUE(state.accept(c)) << c;
  GrammarState spelt = state;
  EXPECT_FALSE(state.accept(kTestCall));
  ASSERT_TRUE(spelt.accept('>'));
  EXPECT_EQ(spelt.forced(), "ab");
  ASSERT_TRUE(state.accept(kTestThink));
  EXPECT_EQ(state.forced(), "ab");
  EXPECT_FALSE(state.may_end());
}

TEST(Grammar, AutomaticToolCalls) {
  GrammarPlan plan;
  plan.free_texts = {{{"<call>"}, FreeText::End::anywhere}};
  plan.choices = {
      {{GrammarKind::literal, "ab "}, {GrammarKind::json_object, "", JsonSpace::compact}},
      {{GrammarKind::literal, "cc "}, {GrammarKind::literal, "[]"}}};
  plan.most = 2;
  plan.separator = "<call>";
  const auto grammar = compiled(plan);
  EXPECT_EQ(grammar->least_tokens(), 1u);
  EXPECT_TRUE(matches(grammar, "an answer, no call"));
  EXPECT_TRUE(matches(grammar, "let me <call>ab {}"));
  EXPECT_FALSE(matches(grammar, "let me <call>ac {}"));
  EXPECT_FALSE(matches(grammar, "let me <call>ab {} more"));
  GrammarState state(grammar);
  ASSERT_TRUE(state.accept('x'));
  ASSERT_TRUE(state.accept(kTestCall));
  for (const char c : std::string("cc []")) ASSERT_TRUE(state.accept(c));
  EXPECT_EQ(allowed_tokens(state), (Tokens{kTestEnd, kTestCall}));  // the separator is the token
  ASSERT_TRUE(state.accept(kTestCall));
  for (const char c : std::string("ab {}")) ASSERT_TRUE(state.accept(c));
  EXPECT_EQ(allowed_tokens(state), Tokens{kTestEnd});
}

TEST(Grammar, FreeTextMayBeLeftOut) {
  GrammarPlan plan = GrammarPlan::of({GrammarKind::regex, "ab"});
  plan.free_texts = {{{"</think>"}, FreeText::End::trigger_only, "<call>", 2}};
  const auto grammar = compiled(plan);
  EXPECT_TRUE(matches(grammar, "ab"));
  EXPECT_FALSE(matches(grammar, "\nab"));
  EXPECT_FALSE(matches(grammar, "so</think>ab"));
  GrammarState state(grammar);
  ASSERT_TRUE(state.accept(kTestCall));
  for (const char c : std::string("so</think>\n\t")) ASSERT_TRUE(state.accept(c)) << c;
  EXPECT_EQ(state.forced(), "ab");
}

TEST(Grammar, AnswersStandInPlaceOfChoices) {
  GrammarPlan plan;
  plan.opening = "[";
  plan.choices = {{{GrammarKind::literal, "a"}}};
  plan.most = GrammarPlan::kForever;
  plan.closing = "]";
  plan.answers = {{{GrammarKind::literal, "b"}}, {{GrammarKind::regex, "[ac]+"}}};
  const auto grammar = compiled(plan);
  for (const char* text : {"[a]", "[aaaa]", "b", "cac"})
    EXPECT_TRUE(matches(grammar, text)) << text;
  for (const char* text : {"", "[]", "a]", "[b]", "bc"})
    EXPECT_FALSE(matches(grammar, text)) << text;
  GrammarCache cache(1 << 20);
  const auto first = cache.get(plan, test_vocabulary());
  plan.answers.pop_back();
  EXPECT_NE(cache.get(plan, test_vocabulary()), first);
}

// With a cache that is always too large, every question moves to a new automaton.
TEST(Grammar, AnswersSurviveTheirCache) {
  std::mt19937 random(4);
  for (const GrammarPlan& plan : plans()) {
    const auto one = compiled(plan);
    const auto other = std::make_shared<const CompiledGrammar>(plan, test_vocabulary(), 1);
    GrammarState a(one), b(other);
    for (int step = 0; step < 30 && !a.ended(); ++step) {
      const Tokens allowed = allowed_tokens(a);
      ASSERT_EQ(allowed, allowed_tokens(b));
      const std::uint32_t budget = a.tokens_to_end() + 1;
      ASSERT_EQ(allowed_tokens(a, budget), allowed_tokens(b, budget));
      ASSERT_EQ(a.forced(), b.forced());
      const TokenId id = allowed[random() % allowed.size()];
      ASSERT_TRUE(a.accept(id));
      ASSERT_TRUE(b.accept(id));
    }
  }
}

TEST(Grammar, VocabularyWithoutSomeBytesIsNeverStuck) {
  // No byte 'z' alone, and no continuation byte 0xA9: "é" only as a whole cannot be promised.
  std::vector<std::string> tokens = {"a", "b", "az", "zb", "\xC3", "\xC3\xA9", ""};
  const GrammarVocabulary vocabulary(tokens, {6});
  const auto grammar = std::make_shared<const CompiledGrammar>(
      GrammarPlan::of({GrammarKind::regex, "(az|ab|é)b*"}), vocabulary);
  GrammarState state(grammar);
  EXPECT_EQ(allowed_tokens(state), Tokens{0});
  ASSERT_TRUE(state.accept(0));
  EXPECT_EQ(allowed_tokens(state), Tokens{1});
  EXPECT_NE(error_of([&] {
              CompiledGrammar(GrammarPlan::of({GrammarKind::regex, "z"}), vocabulary);
            }).find("matches no text"),
            std::string::npos);
}

TEST(GrammarCache, KeepsWhatFitsAndCountsHits) {
  GrammarCache cache(std::size_t{1} << 20);
  const auto plan = [](int i) {
    return GrammarPlan::of({GrammarKind::regex, fmt::format("a{{{}}}", i + 1)});
  };
  const auto first = cache.get(plan(0), test_vocabulary());
  EXPECT_EQ(cache.get(plan(0), test_vocabulary()), first);
  EXPECT_EQ(cache.counts().hits, 1u);
  EXPECT_EQ(cache.counts().misses, 1u);
  for (int i = 0; i < 400; ++i) cache.get(plan(i), test_vocabulary());
  EXPECT_LE(cache.counts().bytes, std::size_t{1} << 20);
  EXPECT_LT(cache.counts().grammars, 400u);
  EXPECT_NE(error_of([&] {
              cache.get(GrammarPlan::of({GrammarKind::regex, "("}), test_vocabulary());
            }),
            "");
  EXPECT_NE(error_of([&] {
              cache.get(GrammarPlan::of({GrammarKind::regex, "("}), test_vocabulary());
            }),
            "");
}

// Threads share a cache, its grammars and their automata.
TEST(GrammarCache, ThreadsAgree) {
  GrammarCache cache(std::size_t{64} << 20);
  const auto all = plans();
  std::vector<std::vector<Tokens>> seen(4);
  std::vector<std::thread> threads;
  for (auto& mine : seen) {
    threads.emplace_back([&] {
      for (const GrammarPlan& plan : all) {
        std::mt19937 random(5);
        GrammarState state(cache.get(plan, test_vocabulary()));
        for (int step = 0; step < 15 && !state.ended(); ++step) {
          mine.push_back(allowed_tokens(state, 60));
          ASSERT_TRUE(state.accept(mine.back()[random() % mine.back().size()]));
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const auto& other : seen) EXPECT_EQ(other, seen[0]);
  EXPECT_EQ(cache.counts().misses, all.size());
}

}  // namespace
}  // namespace nautile
