// grammar_gbnf_test.cpp — GBNF: what it matches, what is refused and where, what hostile ones cost.
#include <gtest/gtest.h>

#include <chrono>

#include "text/grammar_testing.h"

namespace nautile {
namespace {

// llama.cpp's example of arithmetic, shortened.
constexpr const char* kArithmetic = R"gbnf(# a comment
root  ::= (expr "=" ws term "\n")+
expr  ::= term ([-+*/] term)*
term  ::= ident | num
  | "(" ws expr ")" ws   # an alternative on the next line
ident ::= [a-z] [a-z0-9_]* ws
num   ::= [0-9]+ ws
ws    ::= [ \t\n]*
)gbnf";

TEST(Gbnf, MatchesAsWritten) {
  const auto grammar = compiled(GrammarKind::gbnf, kArithmetic);
  EXPECT_TRUE(matches(grammar, "a+(b*2) =c1\n"));
  EXPECT_TRUE(matches(grammar, "a=1\nb=2\n"));
  EXPECT_FALSE(matches(grammar, "a+=1\n"));
  EXPECT_FALSE(matches(grammar, "a=1"));
}

TEST(Gbnf, CountsEscapesAndClasses) {
  const auto grammar = compiled(
      GrammarKind::gbnf,
      "root ::= \"\\x41\\u00e9\\\"\"{2} [^\\]a-c\\n]{1,2} .? (\"x\" | ){ 3 , } <call> <[257]>");
  GrammarState state(grammar);
  for (const char c : std::string("A\xC3\xA9\"A\xC3\xA9\"zz"))
    ASSERT_TRUE(state.accept(static_cast<unsigned char>(c)));
  GrammarState bad = state;
  ASSERT_TRUE(state.accept('x'));
  EXPECT_FALSE(state.accept(kTestThink));
  ASSERT_TRUE(state.accept(kTestCall));
  ASSERT_TRUE(state.accept(kTestThink));
  EXPECT_TRUE(state.may_end());
  EXPECT_FALSE(bad.accept(']') && bad.accept(']'));
}

TEST(Gbnf, RefusesWithTheLine) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"", "there is no rule \"root\""},
      {"root ::= a", "line 1, byte 10: the rule \"a\" is used and not defined"},
      {"root ::= \"a\"\nroot ::= \"b\"", "line 2"},
      {"root = \"a\"", "\"::=\""},
      {"root ::= \"a", "'\"' at the end"},
      {"root ::= [a", "']' is expected"},
      {"root ::= (\"a\"", "')' is expected"},
      {"root ::= \"a\" )", "the end of the line is expected"},
      {"root ::= \"\\q\"", "unknown escape"},
      {"root ::= \"a\"{3,2}", "least count exceeds"},
      {"root ::= [z-a]", "wrong order"},
      {"root ::= <nothing>", "no special token"},
      {"root ::= <[7]>", "no special token"},
      {"root ::= root \"a\" | \"b\"", "left recursion"},
      {"root ::= a\na ::= b \"x\"\nb ::= a? c\nc ::= \"y\"", "left recursion"},
      {"root ::= ws root | \"b\"\nws ::= \" \"*", "left recursion"},
      {"root ::= \"a\" root", "matches no text"},
      {"root ::= \xff", "not UTF-8"},
      {"root ::= " + std::string(3000, '('), "nested too deep"}};
  for (const auto& [text, message] : cases) {
    const std::string error = error_of([&] { compiled(GrammarKind::gbnf, text); });
    EXPECT_NE(error.find(message), std::string::npos) << text.substr(0, 60) << ": " << error;
  }
}

// Right and middle recursion need no bound of ours.
TEST(Gbnf, RecursionGoesAsDeepAsTheText) {
  const auto right = compiled(GrammarKind::gbnf, "root ::= \"a\" root | \"b\"");
  EXPECT_TRUE(matches(right, std::string(20'000, 'a') + "b"));
  const auto middle = compiled(GrammarKind::gbnf, "root ::= \"[\" (root (\",\" root)*)? \"]\"");
  EXPECT_TRUE(matches(middle, std::string(2'000, '[') + std::string(2'000, ']')));
  const auto palindromes =
      compiled(GrammarKind::gbnf, "root ::= \"a\" root \"a\" | \"b\" root \"b\" | \"c\"");
  EXPECT_TRUE(matches(palindromes, "abbacabba"));
  EXPECT_FALSE(matches(palindromes, "abbacabbb"));
}

TEST(Gbnf, HostileGrammarsAreBounded) {
  std::vector<std::string> hostile = {
      "root ::= \"a\" root root | \"b\" root root root | \"c\"",
      "root ::= e\ne ::= \"(\" e \")\" e | \"\"",
      "root ::= (\"a\" | \"a\" root)*",
      "root ::= s s s s s s s s s s\ns ::= [a-z]* s2\ns2 ::= [a-y]*",
      "root ::= \"a\"{1000000} \"b\"{1000000}",
      "root ::= (((\"a\"{0,1000}){0,1000}){0,1000}){0,1000}"};
  std::string exponential = "root ::= r0\n", wide = "root ::= w0", chain = "root ::= c0\n";
  for (int i = 0; i < 60; ++i) {
    exponential += fmt::format("r{} ::= r{} r{}\n", i, i + 1, i + 1);
    wide += fmt::format(" | w{}", i + 1);
  }
  exponential += "r60 ::= \"a\"";
  for (int i = 0; i <= 60; ++i)
    wide += fmt::format("\nw{} ::= \"a\"* \"b\"* w{}?", i, (i + 7) % 61);
  for (int i = 0; i < 5000; ++i) chain += fmt::format("c{} ::= c{}\n", i, i + 1);
  chain += "c5000 ::= \"a\"";
  hostile.insert(hostile.end(), {exponential, wide, chain});
  for (int n = 1; n <= 40; ++n) {
    std::string ambiguous = "root ::= \"x\"";
    for (int i = 0; i < n; ++i)
      ambiguous += fmt::format(" | \"a\" root \"{}\"", static_cast<char>('b' + i % 20));
    hostile.push_back(ambiguous);
  }
  for (const std::string& text : hostile) {
    const PeakMemory memory;
    const auto start = std::chrono::steady_clock::now();
    const std::string error = error_of([&] {
      GrammarState state(compiled(GrammarKind::gbnf, text));
      for (int i = 0; i < 30 && !state.ended(); ++i) {
        const auto allowed = allowed_tokens(state, state.tokens_to_end() + 20);
        ASSERT_FALSE(allowed.empty());
        state.accept(allowed[0]);
      }
    });
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
    EXPECT_LT(memory.risen(), kMostHostileBytes) << text.substr(0, 60);
    EXPECT_LT(took.count(), 20) << text.substr(0, 60) << ": " << error;
  }
}

}  // namespace
}  // namespace nautile
