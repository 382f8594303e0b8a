// regex_test.cpp — what regular expressions match, what is refused, what hostile ones cost.
#include "text/regex.h"

#include <gtest/gtest.h>

#include "text/grammar_testing.h"

namespace nautile {
namespace {

struct RegexCase {
  const char* pattern;
  std::vector<const char*> yes, no;
};

TEST(Regex, WholeMatches) {
  for (const RegexCase& c : std::vector<RegexCase>{
           {"", {""}, {"a"}},
           {"a|b|", {"a", "b", ""}, {"ab"}},
           {"(?:ab){2,3}c*?", {"abab", "abababcc"}, {"ab", "abababab"}},
           {"^a$", {"a"}, {"", "aa"}},
           {"(^a|b)c$", {"ac", "bc"}, {"abc"}},
           {"a^b|c$d|e", {"e"}, {"ab", "cd"}},
           {"x{,3}", {"x{,3}"}, {"xxx"}},
           {"x{2}y{0,1}z{1,}", {"xxz", "xxyzz"}, {"xz", "xxyyz"}},
           {"[a-c-]+[^a-z\\d]", {"a-!", "cÉ"}, {"a-1", "ax"}},
           {"[\\]b]", {"]", "b"}, {"a", "\\"}},
           {"\\d\\D\\w\\W\\s\\S", {"1a_- x"}, {"aa_- x", "1٣_- x", "1a_é x", "1a_- \u0085"}},
           {".", {"a", "你", "\t"}, {"\n", "\u2028", "ab"}},
           {"\\u4f60\\x41\\u{1F600}\\uD83D\\uDE00\\cA\\0", {"你A😀😀\x01"}, {"你A😀😀"}},
           {"\\p{Lu}\\p{Ll}+", {"Été", "Ab"}, {"été", "A1"}},
           {"(?<year>\\d{4})-(?P<m>\\d\\d)", {"2026-11"}, {"26-11"}},
           {"\\/\\.\\-", {"/.-"}, {"/a-"}}}) {
    // A NUL ends the literals above, so it is added here.
    const auto grammar = compiled(GrammarKind::regex, c.pattern);
    const std::string tail = std::string(c.pattern).ends_with("\\0") ? std::string(1, '\0') : "";
    const CharDfa dfa = Regex(c.pattern).dfa(Regex::Match::whole);
    for (const char* text : c.yes) {
      EXPECT_TRUE(matches(grammar, text + tail)) << c.pattern << " should match " << text;
      EXPECT_TRUE(dfa.matches(text + tail)) << c.pattern << " should match " << text;
    }
    for (const char* text : c.no) {
      EXPECT_FALSE(matches(grammar, text)) << c.pattern << " should not match " << text;
      EXPECT_FALSE(dfa.matches(text)) << c.pattern << " should not match " << text;
    }
  }
}

TEST(Regex, PartMatches) {
  for (const RegexCase& c : std::vector<RegexCase>{{"b", {"b", "abc"}, {"ac", ""}},
                                                   {"^b|c$", {"ba", "bc", "c"}, {"ab", "ca"}},
                                                   {"^$", {""}, {"a"}},
                                                   {"(^|,)x", {"x", "a,x.", "xy"}, {"ax", ""}}}) {
    const CharDfa dfa = Regex(c.pattern).dfa(Regex::Match::part);
    for (const char* text : c.yes) EXPECT_TRUE(dfa.matches(text)) << c.pattern << " in " << text;
    for (const char* text : c.no) EXPECT_FALSE(dfa.matches(text)) << c.pattern << " in " << text;
  }
}

TEST(Regex, RefusesWithThePlace) {
  const std::vector<std::pair<const char*, const char*>> cases = {
      {"(a", "byte 2: '(' without ')'"},
      {"a)", "byte 1: ')' without '('"},
      {"[a", "'[' without ']'"},
      {"a**", "nothing that a quantifier could repeat"},
      {"*a", "nothing that a quantifier could repeat"},
      {"^*", "nothing that a quantifier could repeat"},
      {"a{3,2}", "least count exceeds"},
      {"a{99999999999}", "a count of more than"},
      {"(a)\\1", "references to groups"},
      {"(?=a)b", "look-ahead"},
      {"(?<!a)b", "look-behind"},
      {"(?i)a", "flags"},
      {"\\bword", "word boundaries"},
      {"a++", "possessive"},
      {"\\q", "an escape"},
      {"[z-a]", "wrong order"},
      {"[\\d-z]", "two characters"},
      {"[]a]", "an empty class"},
      {"[^]", "an empty class"},
      {"\\uD800", "no Unicode character"},
      {"\\p{Greek}", "a property"},
      {"(^a)+", "^ or $ inside of a repetition"},
      {"\xff", "not UTF-8"},
      {"a\\", "at the end"}};
  for (const auto& [pattern, message] : cases) {
    const std::string error = error_of([&] { Regex r{std::string_view(pattern)}; });
    EXPECT_NE(error.find(message), std::string::npos) << pattern << ": " << error;
  }
}

// Compiled or refused, and the masks of what compiles are there, all within the limits.
TEST(Regex, HostileExpressionsAreBounded) {
  std::vector<std::string> hostile = {"(a+)+$",
                                      "(a|aa)+$",
                                      "(.*a){25}",
                                      "((a{100}){100}){100}",
                                      "(a?){50}a{50}",
                                      "(a*)*b",
                                      "[ab]*a[ab]{20}",
                                      "(.*){1,1000}x",
                                      "((((((a{10}){10}){10}){10}){10}){10})",
                                      "(x+x+)+y",
                                      "a{0,10000000}",
                                      "(a{0,10000000}){0,10000000}",
                                      "(a|b|ab)*c(a|b|ab){30}",
                                      "(|a){10000}",
                                      ".*.*.*.*.*.*.*.*x",
                                      "([a-z]+)*[A-Z]",
                                      "(\\w+\\s?)*$",
                                      "a{65535}",
                                      "(ab?){1,65000}",
                                      std::string(16'000, '('),
                                      std::string(190, '(') + std::string(190, ')'),
                                      std::string(20'000, 'a')};
  for (int n = 1; n <= 30; ++n) {
    std::string nested = "a", doubled = "a", ways = "a";
    for (int i = 0; i < n; ++i) {
      nested = "(" + nested + "|b)*";
      doubled = "(" + doubled + "){2}";
      ways += "|" + std::string(static_cast<std::size_t>(i), 'a') + "b*";
    }
    hostile.insert(hostile.end(), {nested, doubled, "(" + ways + ")*c"});
  }
  for (const std::string& pattern : hostile) {
    const PeakMemory memory;
    const auto start = std::chrono::steady_clock::now();
    const std::string error = error_of([&] {
      GrammarState state(compiled(GrammarKind::regex, pattern));
      for (int i = 0; i < 30 && !state.ended(); ++i) {
        const auto allowed = allowed_tokens(state);
        ASSERT_FALSE(allowed.empty());
        state.accept(allowed[static_cast<std::size_t>(i) % allowed.size()]);
      }
    });
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
    EXPECT_LT(memory.risen(), kMostHostileBytes) << pattern.substr(0, 60);
    EXPECT_LT(took.count(), 10) << pattern.substr(0, 60) << ": " << error;  // sanitizers are slow
  }
}

}  // namespace
}  // namespace nautile
