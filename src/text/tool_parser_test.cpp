// tool_parser_test.cpp — calls as models write them, well and badly, under every cut.
#include "text/tool_parser.h"

#include <gtest/gtest.h>

#include <random>

#include "text/tool_parser_testing.h"

namespace nautile {

void PrintTo(const ParsedAnswer& answer, std::ostream* out) {
  *out << answer.order << " content \"" << answer.content << '"';
  for (const ToolCall& call : answer.calls)
    *out << " " << call.name << "(" << call.arguments << ")";
  for (const auto ended : answer.ended) *out << " " << static_cast<int>(ended);
}

namespace {

constexpr auto kWhole = ToolPiece::Ended::whole;
constexpr auto kBroken = ToolPiece::Ended::broken;
constexpr auto kCut = ToolPiece::Ended::cut;

#define CALLS "<｜tool▁calls▁begin｜>"
#define CALLS_END "<｜tool▁calls▁end｜>"
#define CALL "<｜tool▁call▁begin｜>"
#define CALL_END "<｜tool▁call▁end｜>"
#define SEP "<｜tool▁sep｜>"

struct Case {
  const char* format;
  std::string text;
  ParsedAnswer answer;
};

ParsedAnswer only(std::string content) {
  return {.content = content, .calls = {}, .ended = {}, .order = content.empty() ? "" : "c"};
}
ParsedAnswer one(std::string name, std::string arguments, ToolPiece::Ended ended = kWhole) {
  return {.content = "", .calls = {{name, arguments}}, .ended = {ended}, .order = "0"};
}
ParsedAnswer one_after(std::string content, std::string name, std::string arguments,
                       ToolPiece::Ended ended = kWhole) {
  ParsedAnswer answer = one(std::move(name), std::move(arguments), ended);
  answer.content = std::move(content);
  answer.order = "c0";
  return answer;
}
ParsedAnswer one_then(std::string name, std::string arguments, std::string content,
                      ToolPiece::Ended ended = kWhole) {
  ParsedAnswer answer = one(std::move(name), std::move(arguments), ended);
  answer.content = std::move(content);
  answer.order = "0c";
  return answer;
}

std::vector<Case> deepseek_cases() {
  const char* const v3 = "deepseek-v3";
  const char* const v31 = "deepseek-v3.1";
  return {
      {v3, CALLS CALL "function" SEP "f\n```json\n{\"a\": 1}\n```" CALL_END CALLS_END,
       one("f", "{\"a\": 1}")},
      {v3,
       "Let me see." CALLS CALL "function" SEP "f\n```json\n{\"a\": {\"b\": []}}\n```" CALL_END
       "\n" CALL "function" SEP "g\n```json\n{}\n```" CALL_END CALLS_END,
       {"Let me see.", {{"f", "{\"a\": {\"b\": []}}"}, {"g", "{}"}}, {kWhole, kWhole}, "c01"}},
      // The other's words, white space, no fence, no end.
      {v3, CALLS CALL "f" SEP "{\"a\": 1}" CALL_END CALLS_END, one("f", "{\"a\": 1}")},
      {v3, "\n" CALLS "\n" CALL "function" SEP "f\n{\"a\": 1}\n" CALL_END "\n" CALLS_END "\n",
       one("f", "{\"a\": 1}")},
      {v3, CALL "function" SEP "f\n```\n{}\n```", one("f", "{}")},
      {v31, CALLS CALL "function" SEP "f\n```json\n{\"a\": 1}\n```" CALL_END CALLS_END,
       one("f", "{\"a\": 1}")},
      {v31,
       CALLS CALL "f" SEP "{\"a\": \"" CALL_END "\"}" CALL_END CALL "g" SEP CALL_END CALLS_END,
       {"", {{"f", "{\"a\": \"" CALL_END "\"}"}, {"g", "{}"}}, {kWhole, kWhole}, "01"}},
      {v31, CALLS CALL "f" SEP "```json\n{}\n```" CALL_END CALLS_END "More.",
       one_then("f", "{}", "More.")},
      // Calls that come to nothing.
      {v31, CALLS, only(CALLS)},
      {v31, " a <｜tool▁calls▁beg", only(" a <｜tool▁calls▁beg")},
      {v31, CALLS "none" CALLS_END, only(CALLS "none" CALLS_END)},
      {v31, CALLS CALL "f\n" SEP "1" CALL_END CALLS_END,
       only(CALLS CALL "f\n" SEP "1" CALL_END CALLS_END)},
      {v31, CALLS CALL "two words" SEP "{}", only(CALLS CALL "two words" SEP "{}")},
      {v31, CALLS CALL SEP "{}", only(CALLS CALL SEP "{}")},
      {v3, CALLS CALL "function" SEP "f\n```json\n[1]\n```" CALL_END,
       only(CALLS CALL "function" SEP "f\n```json\n[1]\n```" CALL_END)},
      {v31, CALLS CALL "x" CALLS CALL "f" SEP "{}" CALL_END CALLS_END,
       one_after(CALLS CALL "x", "f", "{}")},
      // Arguments that are none, and that the text's end cuts.
      {v31, CALLS CALL "f" SEP "{'a': 1}" CALL_END CALLS_END, one("f", "{'a': 1}", kBroken)},
      {v3, CALLS CALL "function" SEP "f\n```json\n{\"a\": 1,}\n```" CALL_END CALLS_END,
       one("f", "{\"a\": 1,}", kBroken)},
      {v31, CALLS CALL "f" SEP "{a < b" CALLS, one("f", "{a < b" CALLS, kBroken)},
      {v31, CALLS CALL "f" SEP "{\"a\": tru", one("f", "{\"a\": tru", kCut)},
      {v31, CALLS CALL "f" SEP "{}x" CALL_END CALLS_END, one_then("f", "{}", "x")},
      {v31, "a\n\n", only("a\n\n")},
      {v31, "  ", only("  ")},
  };
}

std::vector<Case> json_cases() {
  const char* const h = "hermes";
  const std::string call =
      "<tool_call>\n{\"name\": \"f\", \"arguments\": {\"a\": 1}}\n</tool_call>";
  const std::string other = "<tool_call>\n{\"name\": \"g\", \"arguments\": {}}\n</tool_call>";
  return {
      {h, call, one("f", "{\"a\": 1}")},
      {h, "\n\n" + call, one("f", "{\"a\": 1}")},
      {h, "Wait.\n" + call, one_after("Wait.", "f", "{\"a\": 1}")},
      {h, "Wait.\n\n" + call + "\n", one_after("Wait.\n", "f", "{\"a\": 1}")},
      {h, call + "\n" + other, {"", {{"f", "{\"a\": 1}"}, {"g", "{}"}}, {kWhole, kWhole}, "01"}},
      {h, call + "\nDone.\n", one_then("f", "{\"a\": 1}", "\nDone.\n")},
      {h,
       "<tool_call>{\"arguments\":{\"name\":\"x\"},\"id\":[{}],\"name\":\"\\u0066\"}</tool_call>",
       one("f", "{\"name\":\"x\"}")},
      {h, "<tool_call>{\"name\":\"f\",\"parameters\":{}}</tool_call>", one("f", "{}")},
      {h, R"(<tool_call>{"name":"f","arguments":"{\"a\": \"\\n\"}"}</tool_call>)",
       one("f", R"({"a": "\n"})")},
      {h, "<tool_call>{\"name\":\"f\"}</tool_call>", one("f", "{}")},
      {h, "<tool_call>{\"arguments\":null,\"name\":\"f\"}</tool_call>", one("f", "{}")},
      {h, "<tool_call>{\"name\":\"f\",\"arguments\":{\"a\":\"</tool_call>\"}}</tool_call>",
       one("f", "{\"a\":\"</tool_call>\"}")},
      // Come to nothing.
      {h, "<tool_call>\nf(x)\n</tool_call>", only("<tool_call>\nf(x)\n</tool_call>")},
      {h, "<tool_call>{\"name\": 5, \"arguments\": {}}",
       only("<tool_call>{\"name\": 5, \"arguments\": {}}")},
      {h, "<tool_call>{\"name\":\"f\",\"arguments\":[1]}</tool_call>",
       only("<tool_call>{\"name\":\"f\",\"arguments\":[1]}</tool_call>")},
      {h, "<tool_call>{\"name\":\"f\",\"arguments\":\"five\"}",
       only("<tool_call>{\"name\":\"f\",\"arguments\":\"five\"}")},
      {h, "<tool_call>{\"arguments\":{\"a\":1},\"name\"",
       only("<tool_call>{\"arguments\":{\"a\":1},\"name\"")},
      {h, "a <tool_c<tool_call>" + call, one_after("a <tool_c<tool_call>", "f", "{\"a\": 1}")},
      {h, "if a <b && {x}\n", only("if a <b && {x}\n")},
      {h, "{\"name\":\"f\",\"arguments\":{}}", only("{\"name\":\"f\",\"arguments\":{}}")},
      {h, "a </tool_call> b", only("a </tool_call> b")},
      // Broken and cut.
      {h,
       "<tool_call>\n{\"name\": \"f\", \"arguments\": {'a': 1}}\n</tool_call>\n" + other,
       {"", {{"f", "{'a': 1}"}, {"g", "{}"}}, {kBroken, kWhole}, "01"}},
      {h, "<tool_call>{\"name\":\"f\",\"arguments\":{\"a\":\"x\ny\"}}</tool_call>",
       one("f", "{\"a\":\"x\ny\"}", kBroken)},
      {h, "<tool_call>{\"name\":\"f\",\"arguments\":{\"a\":\"x", one("f", "{\"a\":\"x", kCut)},
      {h, "<tool_call>{\"name\":\"f\",\"arguments\":{}", one("f", "{}")},
      {h, "<tool_call>{\"name\":\"f\",\"arguments\":{}]</tool_call>", one_then("f", "{}", "]")},
      {h, "<tool_call>{\"name\":\"f\",\"arguments\":{a<b </tool", one("f", "{a<b </tool", kBroken)},
  };
}

std::vector<Case> bare_cases() {
  const char* const l = "llama3";
  const char* const g = "generic";
  return {
      {l, "{\"name\": \"f\", \"parameters\": {\"a\": 1}}", one("f", "{\"a\": 1}")},
      {l, "\n{\"type\": \"function\", \"name\": \"f\", \"parameters\": {}}\n", one("f", "{}")},
      {l, "<|python_tag|>{\"name\": \"other\", \"parameters\": {}}", one("other", "{}")},
      {l,
       "{\"name\": \"f\", \"parameters\": {}}; {\"name\": \"g\", \"parameters\": {}};",
       {"", {{"f", "{}"}, {"g", "{}"}}, {kWhole, kWhole}, "01"}},
      // Only the names that were offered, and only calls.
      {l, "{\"name\": \"Ada\", \"parameters\": {}}",
       only("{\"name\": \"Ada\", \"parameters\": {}}")},
      {l, "{\"name\": \"f\"}", only("{\"name\": \"f\"}")},
      {l, "{\"name\": \"f\", \"age\": 3}", only("{\"name\": \"f\", \"age\": 3}")},
      {l, "{\"name\": \"f\", \"parameters\": {}}; not more", one_then("f", "{}", "; not more")},
      {l, "Here: {\"name\": \"f\", \"parameters\": {}}",
       only("Here: {\"name\": \"f\", \"parameters\": {}}")},
      {l, "{}", only("{}")},
      {l, "{", only("{")},
      {l, " { \"na", only(" { \"na")},
      {l, "<|python_tag|>print(1)", only("<|python_tag|>print(1)")},
      {l, "<tool_call>{\"name\": \"f\", \"parameters\": {}}",
       only("<tool_call>{\"name\": \"f\", \"parameters\": {}}")},
      {l, "{\"name\": \"f\", \"parameters\": {\"a\": }}", one("f", "{\"a\": }}", kBroken)},
      {l, "{\"name\": \"f\", \"parameters\": {\"a\": ", one("f", "{\"a\": ", kCut)},
      {g, "{\"name\": \"f\", \"arguments\": {}}", one("f", "{}")},
      {g, "So:\n<tool_call>\n{\"name\": \"h\", \"arguments\": {}}\n</tool_call>",
       one_after("So:", "h", "{}")},
  };
}

std::vector<Case> cases() {
  std::vector<Case> all = deepseek_cases();
  for (Case& c : json_cases()) all.push_back(std::move(c));
  for (Case& c : bare_cases()) all.push_back(std::move(c));
  return all;
}

const std::vector<std::string> kNames = {"f", "g"};

TEST(ToolCallParser, TellsCallsFromContent) {
  for (const Case& c : cases()) {
    EXPECT_EQ(parse_answer(tool_format_named(c.format), kNames, c.text), c.answer)
        << c.format << ": " << c.text;
  }
}

TEST(ToolCallParser, CutsDoNotMatter) {
  std::mt19937 random(1);
  const std::vector<Case> all = cases();
  int cuts = 0;
  for (int round = 0; cuts < 10'000; ++round) {
    // Alone, or one after another: what is decided late must be read again.
    Case c = all[static_cast<std::size_t>(round) % all.size()];
    if (round >= static_cast<int>(all.size())) c.text += all[random() % all.size()].text;
    const ToolFormat& format = tool_format_named(c.format);
    const ParsedAnswer whole = parse_answer(format, kNames, c.text);
    for (int i = 0; i < 40; ++i, ++cuts) {
      const unsigned longest = 1u + static_cast<unsigned>(random() % 24);
      const auto next = [&] { return 1 + random() % longest; };
      ASSERT_EQ(parse_answer(format, kNames, c.text, next), whole) << c.format << ": " << c.text;
    }
  }
}

// What is certain comes at once.
TEST(ToolCallParser, HoldsNoMoreThanItMust) {
  ToolCallParser parser(tool_format_named("hermes"), {});
  const auto texts = [&](std::string_view text) {
    std::string all;
    for (const ToolPiece& piece : parser.push(text)) all += piece.text + "|";
    return all;
  };
  EXPECT_EQ(texts("a <b"), "a <b|");
  EXPECT_EQ(texts("\n"), "");
  EXPECT_EQ(texts("\n"), "\n|");
  EXPECT_EQ(texts("<tool_call>\n{\"name\": \"f\", \"arguments\": "), "");
  EXPECT_EQ(texts("{\"a"), "f|{\"a|");
  EXPECT_EQ(texts("\": 1"), "\": 1|");
  EXPECT_EQ(texts("}"), "}||");
  EXPECT_EQ(texts("}\n</tool_call>"), "");
  EXPECT_EQ(texts("x"), "x|");
}

// Time stays in proportion to the text, whatever is begun in it.
TEST(ToolCallParser, IsLinear) {
  std::string text;
  const std::string pieces[] = {"<tool_call>{\"a\":\"",
                                "<tool_call>",
                                CALLS CALL,
                                "{\"name\":\"",
                                "<tool_call>{\"arguments\":{\"a\":[",
                                "<"};
  for (const std::string& piece : pieces) {
    text.clear();
    while (text.size() < 300'000) text += piece;
    for (const std::string& name : tool_format_names()) {
      const ParsedAnswer answer = parse_answer(tool_format_named(name), kNames, text);
      EXPECT_EQ(answer.content, text) << name << piece;
    }
  }
}

}  // namespace
}  // namespace nautile
