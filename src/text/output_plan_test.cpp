// output_plan_test.cpp — whatever a plan admits reads as whole calls of the tools it was made of.
#include "text/output_plan.h"

#include <gtest/gtest.h>

#include <bit>
#include <random>

#include "text/grammar_testing.h"
#include "text/schema_document.h"
#include "text/tokenizer_testing.h"
#include "text/tool_parser_testing.h"

namespace nautile {
namespace {

using Choice = OutputRules::Choice;
using Calls = OutputRules::Calls;
using Ordered = nlohmann::ordered_json;

std::vector<ToolSpec> tools() {
  return tool_specs(Ordered::parse(R"([
      {"type": "function", "function": {"name": "get_weather", "parameters": {"type": "object",
        "properties": {"city": {"type": "string", "maxLength": 12}, "days": {"type": "integer",
        "minimum": 1, "maximum": 14}, "unit": {"enum": ["C", "F"]}}, "required": ["city"],
        "additionalProperties": false}}},
      {"type": "function", "function": {"name": "list-files", "strict": true,
        "parameters": {"properties": {"depth": {"type": "array", "items": {"type": "boolean"},
        "maxItems": 3}}}}},
      {"type": "function", "function": {"name": "now"}}])"));
}

struct Model {
  std::string label;
  std::unique_ptr<const Tokenizer> tokenizer;  // null: the small vocabulary of tests
  std::unique_ptr<const GrammarVocabulary> own;
  const GrammarVocabulary& vocabulary() const { return own ? *own : test_vocabulary(); }
};

// The real vocabularies that are on this machine, and the small one.
std::vector<Model> models() {
  std::vector<Model> all;
  all.push_back({"small", nullptr, nullptr});
  for (const char* name : {"deepseek_v3", "qwen3", "llama3_1"}) {
    const std::string folder = tokenizer_folder(name);
    if (folder.empty()) continue;
    auto tokenizer = std::make_unique<const Tokenizer>(Tokenizer::from_json(
        read_file(folder + "/tokenizer.json"), read_file(folder + "/tokenizer_config.json")));
    auto vocabulary = std::make_unique<const GrammarVocabulary>(*tokenizer);
    all.push_back({name, std::move(tokenizer), std::move(vocabulary)});
  }
  return all;
}

std::string text_of(const GrammarVocabulary& vocabulary, TokenId id) {
  for (const auto& [text, token] : vocabulary.special()) {
    const auto& ends = vocabulary.end_ids();
    if (token == id && std::find(ends.begin(), ends.end(), id) == ends.end()) return text;
  }
  return vocabulary.bytes(id);
}

// A bit of the mask, or -1: the next from a random one on.
TokenId some_bit(const std::vector<std::uint64_t>& mask, std::mt19937& random) {
  const std::size_t start = random() % mask.size();
  for (std::size_t i = 0; i < mask.size(); ++i) {
    const std::size_t at = (start + i) % mask.size();
    if (mask[at] == 0) continue;
    std::uint64_t word = mask[at];
    for (auto skip = random() % static_cast<unsigned>(std::popcount(word)); skip > 0; --skip) {
      word &= word - 1;
    }
    return static_cast<TokenId>(at * 64 + static_cast<std::size_t>(std::countr_zero(word)));
  }
  return kNoToken;
}

// A random text of the grammar, at most `budget` tokens. Special tokens are rare among all, so they
// are asked for.
std::string walk(const std::shared_ptr<const CompiledGrammar>& grammar, std::mt19937& random,
                 std::uint32_t budget) {
  const GrammarVocabulary& vocabulary = grammar->vocabulary();
  budget = std::max(budget, grammar->least_tokens());
  GrammarState state(grammar);
  std::vector<std::uint64_t> mask(vocabulary.mask_words());
  std::string text;
  for (; !state.ended(); --budget) {
    NAUTILE_ASSERT(budget > 0, "the budget is used up: {}", text);
    state.allowed(mask, budget);
    TokenId id = some_bit(mask, random);
    NAUTILE_ASSERT(id != kNoToken, "no token is allowed after {}", text);
    if (random() % 12 == 0) {
      for (const auto& special : vocabulary.special()) {
        const auto i = static_cast<std::size_t>(special.second);
        if ((mask[i / 64] >> (i % 64) & 1) != 0) id = special.second;
      }
    }
    NAUTILE_ASSERT(state.accept(id), "an allowed token is refused");
    text += text_of(vocabulary, id);
  }
  return text;
}

struct Said {
  std::string reasoning;
  ParsedAnswer answer;
};

Said understood(const ToolFormat& format, const OutputRules& rules, const std::string& text) {
  ReasoningSplitter splitter(rules.reasoning);
  ReasoningSplitter::Piece piece = splitter.push(text);
  const ReasoningSplitter::Piece last = splitter.finish();
  std::vector<std::string> names;
  for (const ToolSpec& tool : rules.tools) names.push_back(tool.name);
  return {piece.reasoning + last.reasoning,
          parse_answer(format, names, piece.content + last.content)};
}

void expect_calls(const OutputRules& rules, const ParsedAnswer& answer, const std::string& text) {
  for (std::size_t i = 0; i < answer.calls.size(); ++i) {
    const ToolCall& call = answer.calls[i];
    EXPECT_EQ(answer.ended[i], ToolPiece::Ended::whole) << text;
    const auto tool = std::find_if(rules.tools.begin(), rules.tools.end(),
                                   [&](const ToolSpec& t) { return t.name == call.name; });
    ASSERT_NE(tool, rules.tools.end()) << text;
    const Ordered arguments = Ordered::parse(call.arguments);
    if (tool->parameters.empty()) {
      EXPECT_EQ(arguments, Ordered::object()) << text;
    } else {
      SchemaDocument schema(tool->parameters);
      EXPECT_TRUE(schema.fits(arguments, schema.root(), SchemaDocument::Listed::unknown)) << text;
    }
  }
}

TEST(OutputPlan, WalksReadAsCalls) {
  std::mt19937 random(11);
  int called = 0, free = 0, reasoned = 0;
  for (const Model& model : models()) {
    const int rounds = model.own ? 1 : 10;
    for (const std::string& name : tool_format_names()) {
      const ToolFormat& format = tool_format_named(name);
      for (int i = 0; i < 18; ++i) {
        OutputRules rules;
        rules.tools = tools();
        rules.choice = static_cast<Choice>(i % 3);
        rules.tool = "now";
        rules.calls = i / 3 % 2 == 0 ? Calls::parallel : Calls::one;
        rules.reasoning = static_cast<ReasoningMode>(i / 6);
        const auto plan = output_plan(format, rules);
        ASSERT_TRUE(plan);
        const auto grammar = std::make_shared<const CompiledGrammar>(*plan, model.vocabulary());
        for (int round = 0; round < rounds; ++round) {
          const std::string text =
              walk(grammar, random, 20 + static_cast<unsigned>(random() % 100));
          SCOPED_TRACE(fmt::format("{} {} {}: {}", model.label, name, i, text));
          const Said said = understood(format, rules, text);
          expect_calls(rules, said.answer, text);
          reasoned += said.reasoning.empty() ? 0 : 1;
          called += static_cast<int>(said.answer.calls.size());
          free += said.answer.content.empty() ? 0 : 1;
          const std::size_t most = rules.calls == Calls::one ? 1 : text.size();
          EXPECT_LE(said.answer.calls.size(), most);
          if (rules.choice == Choice::automatic) continue;
          EXPECT_GE(said.answer.calls.size(), 1u);
          EXPECT_EQ(said.answer.content, "");
          if (rules.choice != Choice::named) continue;
          for (const ToolCall& call : said.answer.calls) EXPECT_EQ(call.name, "now");
        }
      }
    }
  }
  EXPECT_GT(called, 500);
  EXPECT_GT(free, 50);
  EXPECT_GT(reasoned, 100);
}

TEST(OutputPlan, AnswersFitTheirSchema) {
  std::mt19937 random(12);
  OutputRules rules;
  rules.answer =
      GrammarSpec{GrammarKind::json_schema, R"({"type": "object", "properties": {"ok": {"type":
      "boolean"}}, "required": ["ok"], "additionalProperties": false})"};
  for (const std::string& name : tool_format_names()) {
    for (const bool offered : {false, true}) {
      rules.tools = offered ? tools() : std::vector<ToolSpec>();
      for (const auto mode :
           {ReasoningMode::none, ReasoningMode::inside, ReasoningMode::may_open}) {
        rules.reasoning = mode;
        const ToolFormat& format = tool_format_named(name);
        const auto grammar = compiled(*output_plan(format, rules));
        int answers = 0, calls = 0;
        for (int round = 0; round < 30; ++round) {
          const std::string text = walk(grammar, random, 300);
          const Said said = understood(format, rules, text);
          expect_calls(rules, said.answer, text);
          calls += said.answer.calls.empty() ? 0 : 1;
          if (!said.answer.calls.empty()) continue;
          ++answers;
          EXPECT_TRUE(Ordered::parse(said.answer.content)["ok"].is_boolean()) << text;
        }
        EXPECT_GT(answers, 0);
        EXPECT_EQ(calls > 0, offered) << name;
      }
    }
  }
  rules.answer.reset();
  rules.tools.clear();
  EXPECT_FALSE(output_plan(tool_format_named("hermes"), rules));
}

// Arguments that parsers of calls stumble over, of a tool that takes anything.
std::vector<std::string> hard_arguments() {
  const Ordered nested =
      Ordered::parse(R"({"a": {"b": [{"c": {"d": [[], {}, [{}]]}}], "arguments": {"name": "f"}}})");
  return {
      "{}",
      "{ }",
      "{\n}",
      R"({"": ""})",
      R"({"name": "f", "arguments": {"name": "g"}, "parameters": null})",
      R"({"a":"</tool_call>","b":"<tool_call>\n{\"name\": \"f\", \"arguments\": {}}\n</tool_call>"})",
      R"({"a": "<｜tool▁call▁end｜><｜tool▁calls▁end｜>", "<｜tool▁sep｜>": "\n```<｜tool▁call▁end｜>"})",
      R"({"a": "```json\n{}\n```", "b": "}\n```", "c": "}}; {"})",
      R"({"a": "</think><think>", "b": "<|python_tag|>", "c": "<|eot_id|><｜end▁of▁sentence｜>"})",
      R"({"a": "\u00e9\ud83d\ude00\u0000\u2028", "b": "\b\f\n\r\t\/\\\"", "é": "😀  "})",
      R"({"a": -0.0, "b": 1e-7, "c": 123456789012345678, "d": [true, false, null], "e": "}"})",
      nested.dump(),
      nested.dump(2),
      R"({"a": "\\", "b": "\\\"", "c": "{\"a\": \"}\"}"})",
  };
}

// The text as a model says it: markers are tokens where it has them, but not in arguments.
std::vector<TokenId> said_by(const Model& model, const std::string& text,
                             const std::vector<ToolCall>& calls) {
  std::vector<TokenId> ids;
  const auto say = [&](std::string_view part, EncodeMode mode) {
    if (!model.tokenizer) {
      for (const char c : part) ids.push_back(static_cast<unsigned char>(c));
      return;
    }
    const auto more = model.tokenizer->encode(part, mode);
    ids.insert(ids.end(), more.begin(), more.end());
  };
  std::string_view rest = text;
  for (const ToolCall& call : calls) {
    const std::size_t at = rest.find(call.arguments);
    say(rest.substr(0, at), EncodeMode::parse_added);
    say(call.arguments, EncodeMode::plain);
    rest.remove_prefix(at + call.arguments.size());
  }
  say(rest, EncodeMode::parse_added);
  return ids;
}

// Each is admitted, token by token, and comes back as it was written, however it is cut.
TEST(OutputPlan, HardArgumentsComeBack) {
  const std::vector<std::string> hard = hard_arguments();
  std::mt19937 random(13);
  for (const Model& model : models()) {
    for (const std::string& name : tool_format_names()) {
      const ToolFormat& format = tool_format_named(name);
      const bool parallel = format.syntax != ToolFormat::Syntax::bare_json;
      for (const Choice choice : {Choice::automatic, Choice::required, Choice::named}) {
        OutputRules rules;
        rules.tools = {{"f", R"({"type": "object"})"},
                       {"g", R"({"type": "object", "additionalProperties": true})"},
                       {"get_now-2", ""}};
        rules.choice = choice;
        rules.tool = "g";
        rules.reasoning = choice == Choice::required ? ReasoningMode::inside : ReasoningMode::none;
        const auto grammar = std::make_shared<const CompiledGrammar>(*output_plan(format, rules),
                                                                     model.vocabulary());
        for (std::size_t i = 0; i < hard.size(); ++i) {
          std::vector<ToolCall> calls = {{"g", hard[i]}};
          if (parallel) calls.push_back({"g", hard[(i + 1) % hard.size()]});
          if (parallel && choice != Choice::named) calls.push_back({"get_now-2", "{}"});
          const std::string thought = choice == Choice::required ? "So.</think>\n\n" : "";
          const bool speaks = choice == Choice::automatic && !format.trigger.empty() && i % 2 == 1;
          const std::string content = speaks ? "It is {so}." : "";
          const std::string text = thought + content +
                                   std::string(speaks ? format.after_content : "") +
                                   format.written(calls);
          SCOPED_TRACE(
              fmt::format("{} {} {}: {}", model.label, name, static_cast<int>(choice), text));
          GrammarState state(grammar);
          for (const TokenId id : said_by(model, text, calls)) {
            ASSERT_TRUE(state.accept(id)) << text_of(model.vocabulary(), id);
          }
          EXPECT_TRUE(state.may_end());
          const Said whole = understood(format, rules, text);
          EXPECT_EQ(whole.answer.calls, calls);
          EXPECT_EQ(whole.answer.content, content);
          for (const auto ended : whole.answer.ended) EXPECT_EQ(ended, ToolPiece::Ended::whole);
          const std::string answer = text.substr(thought.size());
          const auto next = [&] { return 1 + random() % 7; };
          EXPECT_EQ(parse_answer(format, {"f", "g", "get_now-2"}, answer, next), whole.answer);
        }
      }
    }
  }
}

// What a model may say of its own accord, byte by byte.
TEST(OutputPlan, AutomaticAdmitsWhatModelsSay) {
  OutputRules rules;
  rules.tools = tools();
  const auto admits = [&](const char* format, const std::string& text) {
    return matches(compiled(*output_plan(tool_format_named(format), rules)), text);
  };
  const std::string call = "<tool_call>\n{\"name\": \"now\", \"arguments\": {}}\n</tool_call>";
  EXPECT_TRUE(admits("hermes", ""));
  EXPECT_TRUE(admits("hermes", "It is {five} <o'clock>."));
  EXPECT_TRUE(admits("hermes", "Wait.\n" + call));
  EXPECT_TRUE(admits("hermes", call + "\n" + call));
  EXPECT_FALSE(admits("hermes", "Wait.\n" + call + " more"));
  EXPECT_FALSE(admits("hermes", "<tool_call>later"));
  EXPECT_TRUE(admits("llama3", ""));
  EXPECT_TRUE(admits("llama3", "\n \nIt is {five} \xF0\x9F\x95\x94"));
  EXPECT_TRUE(admits("llama3", "{\"name\": \"now\", \"parameters\": {}}"));
  EXPECT_FALSE(admits("llama3", "{\"name\": \"later\", \"parameters\": {}}"));
  EXPECT_FALSE(admits("llama3", "\n{five}"));
  EXPECT_TRUE(admits("deepseek-v3.1",
                     "So.<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>now<｜tool▁sep｜>{}"
                     "<｜tool▁call▁end｜><｜tool▁calls▁end｜>"));
  rules.calls = Calls::one;
  EXPECT_TRUE(admits("hermes", call));
  EXPECT_FALSE(admits("hermes", call + "\n" + call));
  rules.reasoning = ReasoningMode::may_open;
  EXPECT_TRUE(admits("hermes", call));
  EXPECT_TRUE(admits("hermes", "<think>maybe <tool_call>x</think>\n\n" + call));
  EXPECT_TRUE(admits("hermes", "<think>maybe</think>No."));
  rules.choice = Choice::required;
  EXPECT_FALSE(admits("hermes", "No."));
  EXPECT_FALSE(admits("hermes", "<think>maybe</think>No."));
  EXPECT_TRUE(admits("hermes", "<think>maybe</think>\n\n" + call));
  EXPECT_FALSE(admits("hermes", "\n\n" + call));
}

TEST(OutputPlan, NamesWhatIsWrong) {
  const ToolFormat& format = tool_format_named("hermes");
  const auto error = [&](const OutputRules& rules) {
    return error_of([&] { output_plan(format, rules); });
  };
  OutputRules rules;
  rules.choice = Choice::required;
  EXPECT_NE(error(rules).find("tool_choice"), std::string::npos);
  rules.tools = tools();
  rules.choice = Choice::named;
  rules.tool = "later";
  EXPECT_NE(error(rules).find("'later'"), std::string::npos);
  rules.choice = Choice::automatic;
  rules.tools[1].parameters = R"({"type": "object", "not": {}})";
  EXPECT_NE(error(rules).find("tools[1].function.parameters"), std::string::npos);
  rules.tools[1].strictness = ToolSpec::Strictness::lenient;
  EXPECT_EQ(error(rules), "");
  EXPECT_TRUE(matches(
      compiled(*output_plan(format, rules)),
      "<tool_call>\n{\"name\": \"list-files\", \"arguments\": {\"any\": 1}}\n</tool_call>"));
  rules.tools[1].parameters = R"({"type": "string"})";
  EXPECT_NE(error(rules).find("tools[1].function.parameters"), std::string::npos);
  rules.tools[1].parameters = R"({"type": "nothing"})";
  EXPECT_NE(error(rules).find("tools[1].function.parameters"), std::string::npos);
  for (const char* list : {R"([5])", R"([{"type":"web"}])", R"([{"type":"function"}])",
                           R"([{"function":{"name":"a b"}}])",
                           R"([{"function":{"name":"a"}},{"function":{"name":"a"}}])",
                           R"([{"function":{"name":"a","parameters":[]}}])",
                           R"([{"function":{"name":"a","strict":1}}])"}) {
    EXPECT_NE(error_of([&] { tool_specs(Ordered::parse(list)); }).find("tools["), std::string::npos)
        << list;
  }
  EXPECT_NE(error_of([] { tool_specs(Ordered::object()); }).find("tools"), std::string::npos);
  EXPECT_TRUE(tool_specs(nullptr).empty());
}

}  // namespace
}  // namespace nautile
