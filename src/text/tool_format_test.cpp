// tool_format_test.cpp — what chat formats render of earlier calls is what is written and parsed.
#include "text/tool_format.h"

#include <gtest/gtest.h>

#include <random>

#include "text/tokenizer_testing.h"
#include "text/tool_parser_testing.h"

namespace nautile {
namespace {

using Ordered = nlohmann::ordered_json;

// Llama 3.1's words, as far as calls go.
constexpr const char* kLlamaTemplate =
    "{{ bos_token }}{% for m in messages %}"
    "{% if m.tool_calls %}{% if m.tool_calls | length != 1 %}"
    "{{ raise_exception('This model only supports single tool-calls at once!') }}{% endif %}"
    "{% set call = m.tool_calls[0].function %}<|start_header_id|>assistant<|end_header_id|>\n\n"
    "{{ '{\"name\": \"' + call.name + '\", \"parameters\": ' }}{{ call.arguments | tojson }}"
    "{{ '}' }}<|eot_id|>"
    "{% elif m.role == 'tool' or m.role == 'ipython' %}<|start_header_id|>ipython<|end_header_id|>"
    "\n\n{{ m.content }}<|eot_id|>"
    "{% else %}<|start_header_id|>{{ m.role }}<|end_header_id|>\n\n{{ m.content }}<|eot_id|>"
    "{% endif %}{% endfor %}";
// SmolLM2's.
constexpr const char* kPlainTemplate =
    "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + "
    "'<|im_end|>' + '\n'}}{% endfor %}{% if add_generation_prompt %}"
    "{{ '<|im_start|>assistant\n' }}{% endif %}";

std::string source_of(const char* name) {
  const std::string folder = tokenizer_folder(name);
  if (folder.empty()) return "";
  return Ordered::parse(read_file(folder + "/tokenizer_config.json"))["chat_template"];
}

// A chat format, how it writes an assistant's turn, and what it can.
struct Speaker {
  std::string label;
  std::string tool_format;
  std::unique_ptr<ChatFormat> format;
  std::string before, after;
  std::size_t most_calls = 5;
  enum class Content { any, none_with_calls } content = Content::any;
  enum class Arguments { as_written, as_value } arguments = Arguments::as_written;
};

std::vector<Speaker> speakers() {
  using Content = Speaker::Content;
  using Arguments = Speaker::Arguments;
  const std::string end = "<｜end▁of▁sentence｜>", assistant = "<｜Assistant｜>";
  const SpecialTexts specials = {{"bos_token", "<｜begin▁of▁sentence｜>"}, {"eos_token", end}};
  std::vector<Speaker> all;
  const auto add = [&](std::string label, const char* tool_format,
                       std::unique_ptr<ChatFormat> format, const std::string& before,
                       const std::string& after, std::size_t most = 5,
                       Content content = Content::any,
                       Arguments arguments = Arguments::as_written) {
    all.push_back({label, tool_format, std::move(format), before, after, most, content, arguments});
  };
  for (const char* name : {"deepseek-v3", "deepseek-r1"}) {
    add(name, "deepseek-v3", make_native_format(name), assistant, end);
  }
  add("deepseek-v3.1", "deepseek-v3.1", make_native_format("deepseek-v3.1"), assistant + "</think>",
      end);
  for (const char* name : {"deepseek-r1", "deepseek-v3.1"}) {
    const bool r1 = std::string(name) == "deepseek-r1";
    add(fmt::format("template of {}", name), r1 ? "deepseek-v3" : name,
        make_template_format(read_file(fmt::format("tests/data/templates/{}.jinja", name)),
                             specials),
        assistant + (r1 ? "" : "</think>"), end);
  }
  add("Llama's", "llama3", make_template_format(kLlamaTemplate, {{"bos_token", "<s>"}}),
      "<|start_header_id|>assistant<|end_header_id|>\n\n", "<|eot_id|>", 1,
      Content::none_with_calls, Arguments::as_value);
  if (const std::string source = source_of("qwen3"); !source.empty()) {
    add("Qwen3's", "hermes", make_template_format(source, {}), "<|im_start|>assistant\n",
        "<|im_end|>");
  }
  return all;
}

// ---- random conversations
class Writer {
 public:
  explicit Writer(std::uint32_t seed) : random_(seed) {}

  std::size_t below(std::size_t n) { return random_() % n; }

  std::string words() {
    static const char* const kPieces[] = {"a",   " word", "\n",    "\n\n",   "{",    "}",
                                          "<",   "</",    "<tool", "é",      "你好", "\"",
                                          "```", " | ",   ";",     "<｜tool"};
    std::string text = "So";
    for (std::size_t n = below(8); n > 0; --n) text += kPieces[below(std::size(kPieces))];
    return text;
  }
  Ordered value(int depth) {
    switch (below(depth > 2 ? 4 : 6)) {
      case 0:
        return static_cast<int>(below(2000)) - 1000;
      case 1:
        return below(2) == 0;
      case 2:
        return nullptr;
      case 3:
        return string();
      case 4: {
        Ordered list = Ordered::array();
        for (std::size_t n = below(4); n > 0; --n) list.push_back(value(depth + 1));
        return list;
      }
      default:
        return object(depth + 1);
    }
  }
  Ordered object(int depth) {
    Ordered result = Ordered::object();
    for (std::size_t n = below(4); n > 0; --n) result[string()] = value(depth);
    return result;
  }

 private:
  // Markers, and what JSON must escape.
  std::string string() {
    static const char* const kPieces[] = {"a",
                                          "key",
                                          "\"",
                                          "\\",
                                          "\n",
                                          "</tool_call>",
                                          "<tool_call>",
                                          "{",
                                          "}",
                                          "é",
                                          "``",
                                          "```\n",
                                          "<｜tool▁call▁end｜>",
                                          "]",
                                          ":",
                                          "😀",
                                          "\t",
                                          "<｜tool▁calls▁end｜>",
                                          ""};
    std::string text;
    for (std::size_t n = below(5); n > 0; --n) text += kPieces[below(std::size(kPieces))];
    return text;
  }

  std::mt19937 random_;
};

TEST(ToolFormat, RendersAsItParses) {
  Writer writer(7);
  for (const Speaker& speaker : speakers()) {
    const ToolFormat& format = tool_format_named(speaker.tool_format);
    for (int round = 0; round < 300; ++round) {
      std::vector<ToolCall> calls;
      Ordered list = Ordered::array();
      for (std::size_t n = 1 + writer.below(speaker.most_calls); n > 0; --n) {
        const Ordered arguments = writer.object(0);
        const std::string text = arguments.dump(static_cast<int>(writer.below(3)) - 1);
        calls.push_back({fmt::format("tool_{}", writer.below(9)), text});
        list.push_back({{"id", fmt::format("call_{}", n)},
                        {"type", "function"},
                        {"function", {{"name", calls.back().name}, {"arguments", text}}}});
      }
      std::string content;
      if (speaker.content == Speaker::Content::any && writer.below(2) == 0)
        content = writer.words();
      Conversation conversation;
      conversation.messages =
          Ordered::array({{{"role", "user"}, {"content", "u"}},
                          {{"role", "assistant"}, {"content", content}, {"tool_calls", list}}});
      if (content.empty() && speaker.label != "Qwen3's") {
        conversation.messages[1]["content"] = nullptr;
      }
      for (const Ordered& call : list) {
        conversation.messages.push_back(
            {{"role", "tool"}, {"tool_call_id", call["id"]}, {"content", "r"}});
      }
      conversation.messages.push_back({{"role", "user"}, {"content", "v"}});
      RenderOptions options;
      options.generation_prompt = GenerationPrompt::none;
      const std::string text = speaker.format->render(conversation, options).text();
      const std::size_t begin = text.find(speaker.before) + speaker.before.size();
      ASSERT_LT(begin, text.size()) << text;
      const std::string said = text.substr(begin, text.find(speaker.after, begin) - begin);

      std::vector<std::string> names;
      for (const ToolCall& call : calls) names.push_back(call.name);
      const ParsedAnswer answer = parse_answer(format, names, said);
      EXPECT_EQ(answer.content, content) << said;
      ASSERT_EQ(answer.calls.size(), calls.size()) << said;
      for (std::size_t i = 0; i < calls.size(); ++i) {
        EXPECT_EQ(answer.calls[i].name, calls[i].name) << said;
        EXPECT_EQ(answer.ended[i], ToolPiece::Ended::whole) << said;
        if (speaker.arguments == Speaker::Arguments::as_written) {
          EXPECT_EQ(answer.calls[i].arguments, calls[i].arguments) << said;
        } else {
          EXPECT_EQ(Ordered::parse(answer.calls[i].arguments), Ordered::parse(calls[i].arguments));
        }
      }
      // And what is parsed is what is rendered, byte by byte.
      EXPECT_EQ(content + std::string(content.empty() ? "" : format.after_content) +
                    format.written(answer.calls),
                said)
          << speaker.label;
    }
  }
}

TEST(ToolFormat, IsChosen) {
  const auto of_format = [](std::string_view name) {
    return choose_tool_format({.chat_format = name}).name;
  };
  EXPECT_EQ(of_format("deepseek-v2"), "generic");
  EXPECT_EQ(of_format("deepseek-v2.5"), "deepseek-v3");
  EXPECT_EQ(of_format("deepseek-v3"), "deepseek-v3");
  EXPECT_EQ(of_format("deepseek-r1"), "deepseek-v3");
  EXPECT_EQ(of_format("deepseek-v3.1"), "deepseek-v3.1");
  const auto of_template = [](std::string_view source) {
    return choose_tool_format({.chat_format = "template", .template_source = source}).name;
  };
  EXPECT_EQ(of_template(read_file("tests/data/templates/deepseek-r1.jinja")), "deepseek-v3");
  EXPECT_EQ(of_template(read_file("tests/data/templates/deepseek-v3.1.jinja")), "deepseek-v3.1");
  EXPECT_EQ(of_template(kLlamaTemplate), "llama3");
  EXPECT_EQ(of_template(kPlainTemplate), "generic");
  EXPECT_EQ(of_template("<tool_call>{{ call.name }}<arg_key>"), "generic");
  for (const char* name : {"deepseek-v3", "deepseek-v3.1", "hermes", "llama3", "generic"}) {
    EXPECT_EQ(tool_format_named(name).name, name);
  }
  EXPECT_EQ(tool_format_names().size(), 5u);
  EXPECT_NE(
      error_of([] { tool_format_named("gpt"); }).find("deepseek-v3.1, hermes, llama3, generic"),
      std::string::npos);
}

TEST(ToolFormat, IsChosenForRealModels) {
  if (tokenizer_folder("qwen3").empty()) GTEST_SKIP() << "set NAUTILE_TEST_DATA";
  const std::pair<const char*, const char*> kModels[] = {
      {"deepseek_v3", "deepseek-v3"}, {"qwen3", "hermes"}, {"llama3_1", "generic"}};
  for (const auto& [model, format] : kModels) {
    EXPECT_EQ(
        choose_tool_format({.chat_format = "template", .template_source = source_of(model)}).name,
        format);
    const std::string folder = tokenizer_folder(model);
    const Tokenizer tokenizer = Tokenizer::from_json(read_file(folder + "/tokenizer.json"),
                                                     read_file(folder + "/tokenizer_config.json"));
    const ToolFormat& by_tokens = choose_tool_format({.tokenizer = &tokenizer});
    EXPECT_EQ(by_tokens.name, format);
    EXPECT_FALSE(marks_by_special_token(by_tokens, tokenizer)) << model;
  }
}

TEST(ToolFormat, SpecialTokensAreNoticed) {
  nlohmann::json json = small_tokenizer();
  const Tokenizer without = load(json);
  EXPECT_FALSE(marks_by_special_token(tool_format_named("llama3"), without));
  nlohmann::json token = json["added_tokens"][0];
  token["id"] = 900;
  token["content"] = "<|python_tag|>";
  json["added_tokens"].push_back(token);
  const Tokenizer with = load(json);
  EXPECT_TRUE(marks_by_special_token(tool_format_named("llama3"), with));
  EXPECT_FALSE(marks_by_special_token(tool_format_named("hermes"), with));
  EXPECT_EQ(choose_tool_format({.tokenizer = &with}).name, "llama3");
}

TEST(ToolWords, AreFoundByRendering) {
  const auto letters = [](const ChatFormat& format) {
    const ToolWords words = tool_words(format);
    return fmt::format("{}{}{}{}", words.definitions ? "d" : "", words.calls ? "c" : "",
                       words.calls_after_content ? "a" : "", words.results ? "r" : "");
  };
  EXPECT_EQ(letters(*make_native_format("deepseek-v2")), "");
  EXPECT_EQ(letters(*make_native_format("deepseek-v3")), "car");
  EXPECT_EQ(letters(*make_native_format("deepseek-v3.1")), "dcar");
  EXPECT_EQ(letters(*make_template_format(kPlainTemplate, {})), "");
  EXPECT_EQ(letters(*make_template_format(kLlamaTemplate, {})), "cr");
  if (tokenizer_folder("qwen3").empty()) GTEST_SKIP() << "set NAUTILE_TEST_DATA";
  EXPECT_EQ(letters(*make_template_format(source_of("deepseek_v3"), {})), "cr");
  EXPECT_EQ(letters(*make_template_format(source_of("qwen3"), {})), "dcar");
}

Conversation round_of_calls() {
  Conversation conversation;
  conversation.messages = Ordered::parse(R"([{"role":"user","content":"u"},
      {"role":"assistant","content":"Wait.","tool_calls":[
        {"id":"1","type":"function","function":{"name":"f","arguments":"{\"a\": 1}"}},
        {"id":"2","type":"function","function":{"name":"g","arguments":{"b":2}}}]},
      {"role":"tool","tool_call_id":"1","content":"r1"},
      {"role":"tool","tool_call_id":"2","content":[{"type":"text","text":"r2"}]}])");
  conversation.tools = Ordered::parse(R"([{"type":"function","function":{"name":"f","parameters":{
      "type":"object","properties":{"a":{"type":"integer"}}}}},
      {"type":"function","function":{"name":"g"}}])");
  return conversation;
}

TEST(ToolWords, AreGivenToFormatsWithout) {
  const auto plain = make_template_format(kPlainTemplate, {});
  const ToolFormat& format = tool_format_named("generic");
  const Conversation given = with_tool_texts(round_of_calls(), format, tool_words(*plain));
  EXPECT_TRUE(given.tools.is_null());
  const std::string text = plain->render(given, {}).text();
  for (const char* part :
       {"<|im_start|>system\n# Tools\n", R"({"name":"g"})", R"("properties":{"a")",
        "<tool_call>\n{\"name\": \"tool_name\", \"arguments\": {\"parameter\": "
        "\"value\"}}\n</tool_call>",
        "<|im_start|>assistant\nWait.\n<tool_call>\n{\"name\": \"f\", \"arguments\": {\"a\": 1}}\n"
        "</tool_call>\n<tool_call>\n{\"name\": \"g\", \"arguments\": "
        "{\"b\":2}}\n</tool_call><|im_end|>",
        "<|im_start|>user\n<tool_response>\nr1\n</tool_response>\n<tool_response>\nr2\n"
        "</tool_response><|im_end|>\n<|im_start|>assistant\n"}) {
    EXPECT_NE(text.find(part), std::string::npos) << part << "\n" << text;
  }
  // A system message is kept.
  Conversation system = round_of_calls();
  system.messages.insert(system.messages.begin(),
                         Ordered::parse(R"({"role":"system","content":"S"})"));
  const Conversation both = with_tool_texts(system, format, {});
  EXPECT_EQ(both.messages.size(), 4u);
  EXPECT_TRUE(both.messages[0]["content"].get<std::string>().starts_with("S\n\n# Tools"));
}

// One released template passes over calls beside an empty text, the other refuses null beside them.
TEST(ToolWords, SayWhatNoContentIs) {
  if (tokenizer_folder("qwen3").empty()) GTEST_SKIP() << "set NAUTILE_TEST_DATA";
  for (const auto& [model, tools] :
       {std::pair("deepseek_v3", "deepseek-v3"), {"qwen3", "hermes"}}) {
    const auto format = make_template_format(source_of(model), {{"bos_token", "<s>"}});
    for (const Ordered& nothing : {Ordered(), Ordered("")}) {
      Conversation asked = round_of_calls();
      asked.messages[1]["content"] = nothing;
      asked.messages[1]["tool_calls"][1]["function"]["arguments"] = "{}";
      const Conversation given =
          with_tool_texts(asked, tool_format_named(tools), tool_words(*format));
      const std::string text = format->render(given, {}).text();
      EXPECT_NE(text.find("{\"a\": 1}"), std::string::npos) << text;
    }
  }
}

TEST(ToolWords, LeaveAloneWhatAFormatCan) {
  const Conversation asked = round_of_calls();
  const Conversation same = with_tool_texts(asked, tool_format_named("deepseek-v3.1"),
                                            tool_words(*make_native_format("deepseek-v3.1")));
  EXPECT_EQ(same.messages, asked.messages);
  EXPECT_EQ(same.tools, asked.tools);
  const auto v3 = make_native_format("deepseek-v3");
  const Conversation given =
      with_tool_texts(asked, tool_format_named("deepseek-v3"), tool_words(*v3));
  EXPECT_EQ(given.messages[2], asked.messages[1]);
  EXPECT_NO_THROW(v3->render(given, {}));
  Conversation bad = asked;
  bad.tools[1]["function"].erase("name");
  EXPECT_NE(error_of([&] {
              with_tool_texts(bad, tool_format_named("generic"), {});
            }).find("tools[1].function.name"),
            std::string::npos);
}

}  // namespace
}  // namespace nautile
