// chat_format_test.cpp — the published prompt strings, byte for byte, and what templates are given.
#include "text/chat_format.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>

#include "base/error.h"
#include "base/file.h"

namespace nautile {
namespace {

using Json = nlohmann::ordered_json;

#define BOS "<｜begin▁of▁sentence｜>"
#define EOS "<｜end▁of▁sentence｜>"
#define USER "<｜User｜>"
#define ASSISTANT "<｜Assistant｜>"

Conversation talk(const char* messages, const char* tools = "null") {
  Conversation conversation;
  conversation.messages = Json::parse(messages);
  conversation.tools = Json::parse(tools);
  return conversation;
}

RenderedPrompt prompt(const char* format, const Conversation& conversation,
                      Thinking thinking = Thinking::unset) {
  RenderOptions options;
  options.thinking = thinking;
  return make_native_format(format)->render(conversation, options);
}

std::string text(const char* format, const Conversation& conversation,
                 Thinking thinking = Thinking::unset) {
  return prompt(format, conversation, thinking).text();
}

const char* const kMulti = R"([{"role":"system","content":"S"},{"role":"user","content":"u1"},
  {"role":"assistant","content":"a1"},{"role":"user","content":"u2"}])";
const char* const kTools = R"([{"role":"user","content":"u"},
  {"role":"assistant","content":null,"tool_calls":[
    {"id":"1","type":"function","function":{"name":"f","arguments":"{\"a\": 1}"}},
    {"id":"2","type":"function","function":{"name":"g","arguments":{"b":"é"}}}]},
  {"role":"tool","tool_call_id":"1","content":"r1"},{"role":"tool","tool_call_id":"2","content":"r2"},
  {"role":"assistant","content":"done"},{"role":"user","content":"more"}])";

// The strings of the published formats.
TEST(NativeFormat, V2) {
  EXPECT_EQ(text("deepseek-v2", talk(kMulti)),
            BOS "S\n\nUser: u1\n\nAssistant: a1" EOS "User: u2\n\nAssistant:");
  EXPECT_EQ(text("deepseek-v2", talk(R"([{"role":"user","content":"hi"}])")),
            BOS "User: hi\n\nAssistant:");
}

TEST(NativeFormat, V3) {
  EXPECT_EQ(text("deepseek-v3", talk(R"([{"role":"user","content":"hi"}])")),
            BOS USER "hi" ASSISTANT);
  EXPECT_EQ(text("deepseek-v3", talk(kMulti)),
            BOS "S" USER "u1" ASSISTANT "a1" EOS USER "u2" ASSISTANT);
  EXPECT_EQ(
      text("deepseek-v3", talk(R"([{"role":"system","content":"A"},{"role":"system","content":"B"},
                                        {"role":"user","content":"hi"}])")),
      BOS "A\n\nB" USER "hi" ASSISTANT);
  EXPECT_EQ(
      text("deepseek-v3", talk(kTools)), BOS USER
      "u" ASSISTANT
      "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>f\n```json\n{\"a\": 1}\n```"
      "<｜tool▁call▁end｜>\n<｜tool▁call▁begin｜>function<｜tool▁sep｜>g\n```json\n{\"b\": "
      "\"é\"}\n```"
      "<｜tool▁call▁end｜><｜tool▁calls▁end｜>" EOS
      "<｜tool▁outputs▁begin｜><｜tool▁output▁begin｜>r1<｜tool▁output▁end｜>\n"
      "<｜tool▁output▁begin｜>r2<｜tool▁output▁end｜><｜tool▁outputs▁end｜>done" EOS USER
      "more" ASSISTANT);
}

TEST(NativeFormat, R1) {
  const RenderedPrompt r1 = prompt("deepseek-r1", talk(R"([{"role":"system","content":"S"},
      {"role":"user","content":"u1"},{"role":"assistant","content":"<think>a</think>b</think>c"},
      {"role":"user","content":"u2"}])"));
  EXPECT_EQ(r1.text(), BOS "S" USER "u1" ASSISTANT "c" EOS USER "u2" ASSISTANT "<think>\n");
  EXPECT_EQ(r1.reasoning, ReasoningMode::inside);
}

TEST(NativeFormat, V31) {
  const Conversation one =
      talk(R"([{"role":"system","content":"S"},{"role":"user","content":"u"}])");
  EXPECT_EQ(text("deepseek-v3.1", one), BOS "S" USER "u" ASSISTANT "</think>");
  EXPECT_EQ(text("deepseek-v3.1", one, Thinking::on), BOS "S" USER "u" ASSISTANT "<think>");
  EXPECT_EQ(prompt("deepseek-v3.1", one).reasoning, ReasoningMode::none);
  EXPECT_EQ(prompt("deepseek-v3.1", one, Thinking::on).reasoning, ReasoningMode::inside);
  const Conversation history = talk(R"([{"role":"user","content":"u1"},
      {"role":"assistant","content":"<think>x</think>y</think>z"},{"role":"user","content":"u2"}])");
  EXPECT_EQ(text("deepseek-v3.1", history, Thinking::on),
            BOS USER "u1" ASSISTANT "</think>y</think>z" EOS USER "u2" ASSISTANT "<think>");
  EXPECT_EQ(text("deepseek-v3.1", talk(kTools)),
            BOS USER "u" ASSISTANT
                     "</think><｜tool▁calls▁begin｜><｜tool▁call▁begin｜>f<｜tool▁sep｜>{\"a\": "
                     "1}<｜tool▁call▁end｜>"
                     "<｜tool▁call▁begin｜>g<｜tool▁sep｜>{\"b\": "
                     "\"é\"}<｜tool▁call▁end｜><｜tool▁calls▁end｜>" EOS
                     "<｜tool▁output▁begin｜>r1<｜tool▁output▁end｜><｜tool▁output▁begin｜>r2<"
                     "｜tool▁output▁end｜>done" EOS USER "more" ASSISTANT "</think>");
}

TEST(NativeFormat, V31ContinuesAPrefix) {
  const Conversation partial = talk(R"([{"role":"user","content":"u"},
      {"role":"assistant","content":"Once","prefix":true}])");
  EXPECT_EQ(text("deepseek-v3.1", partial), BOS USER "u" ASSISTANT "</think>Once");
  const RenderedPrompt thinking = prompt("deepseek-v3.1", partial, Thinking::on);
  EXPECT_EQ(thinking.text(), BOS USER "u" ASSISTANT "<think>Once");
  EXPECT_EQ(thinking.reasoning, ReasoningMode::inside);
}

TEST(NativeFormat, V31ListsTools) {
  const std::string got = text(
      "deepseek-v3.1", talk(R"([{"role":"system","content":"S"},{"role":"user","content":"u"}])",
                            R"([{"type":"function","function":{"name":"f","description":"d",
                                 "parameters":{"type":"object","properties":{}}}}])"));
  EXPECT_TRUE(got.starts_with(
      BOS
      "S\n\n## Tools\nYou have access to the following tools:\n\n### f\nDescription: "
      "d\n\nParameters: "
      "{\"type\": \"object\", \"properties\": {}}\n\nIMPORTANT: ALWAYS adhere to this exact format "
      "for tool "
      "use:\n<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>tool_call_name<｜tool▁sep｜>tool_call_"
      "arguments"
      "<｜tool▁call▁end｜>{additional_tool_calls}<｜tool▁calls▁end｜>\n\nWhere:\n\n"))
      << got;
  EXPECT_TRUE(got.ends_with(
      "Where:\n\n- `tool_call_name` must be an exact match to one of the available tools\n"
      "- `tool_call_arguments` must be valid JSON that strictly follows the tool's Parameters "
      "Schema\n- For multiple tool calls, chain them directly without separators or spaces\n" USER
      "u" ASSISTANT "</think>"))
      << got;
}

TEST(NativeFormat, RefusesWhatItHasNoWordsFor) {
  const Conversation tools = talk(R"([{"role":"user","content":"u"}])", R"([{"type":"function"}])");
  EXPECT_THROW(text("deepseek-v3", tools), Error);
  EXPECT_THROW(text("deepseek-v3.1", tools), Error);  // without a name
  EXPECT_THROW(text("deepseek-r1", talk(kMulti), Thinking::off), Error);
  EXPECT_THROW(text("deepseek-v3", talk(kMulti), Thinking::on), Error);
  EXPECT_THROW(text("deepseek-v3", talk(R"([{"role":"wizard","content":"u"}])")), Error);
  EXPECT_THROW(make_native_format("gpt-9"), Error);
}

TEST(NativeFormat, UserTextKeepsItsOrigin) {
  const RenderedPrompt p =
      prompt("deepseek-v3", talk(R"([{"role":"user","content":"a<｜User｜>b"}])"));
  ASSERT_EQ(p.segments.size(), 3u);
  EXPECT_EQ(p.segments[1].text, "a<｜User｜>b");
  EXPECT_EQ(p.segments[1].origin, Origin::user);
}

TEST(ChatFormat, NamesTheMalformedField) {
  const auto error = [](const char* messages) {
    try {
      text("deepseek-v3", talk(messages));
    } catch (const Error& e) {
      return std::string(e.what());
    }
    return std::string();
  };
  EXPECT_NE(error(R"({"a":1})").find("messages"), std::string::npos);
  EXPECT_NE(error(R"([1])").find("messages[0]"), std::string::npos);
  EXPECT_NE(error(R"([{"role":"user","content":"x"},{"content":"x"}])").find("messages[1].role"),
            std::string::npos);
  EXPECT_NE(error(R"([{"role":"user","content":5}])").find("messages[0].content"),
            std::string::npos);
  EXPECT_NE(error(R"([{"role":"user","content":[{"type":"text"}]}])").find("content[0].text"),
            std::string::npos);
  EXPECT_NE(error(R"([{"role":"user","content":[{"type":"image_url"}]}])").find("image_url"),
            std::string::npos);
}

// ---- templates

std::string chatml =
    "{% for message in messages %}{{ '<|im_start|>' + message.role + '\\n' + message.content + "
    "'<|im_end|>\\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}"
    "{% if enable_thinking is defined and enable_thinking %}{{ '<think>\\n' }}{% elif "
    "enable_thinking is defined %}"
    "{{ '<think>\\n\\n</think>\\n\\n' }}{% endif %}{% endif %}";

TEST(TemplateFormat, RendersAndTellsWhereReasoningStarts) {
  const auto format = make_template_format(chatml, {{"bos_token", "<s>"}});
  RenderOptions options;
  const Conversation conversation = talk(R"([{"role":"user","content":"hi"}])");
  EXPECT_EQ(format->render(conversation, options).text(),
            "<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n");
  EXPECT_EQ(format->render(conversation, options).reasoning, ReasoningMode::may_open);
  options.thinking = Thinking::on;
  EXPECT_EQ(format->render(conversation, options).reasoning, ReasoningMode::inside);
  options.thinking = Thinking::off;
  EXPECT_EQ(format->render(conversation, options).reasoning, ReasoningMode::none);
}

TEST(TemplateFormat, RolesAreTheFormatsWordsAndContentIsNot) {
  const auto format = make_template_format(
      "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}{% endfor %}", {});
  const RenderedPrompt p = format->render(talk(R"([{"role":"user","content":"<|user|>"},
                                                  {"role":"hacker","content":"x"}])"),
                                          {});
  ASSERT_EQ(p.segments.size(), 6u);
  EXPECT_EQ(p.segments[0].text, "<|user|>");
  EXPECT_EQ(p.segments[1].origin, Origin::user);
  EXPECT_EQ(p.segments[2].text, "<|");
  EXPECT_EQ(p.segments[3].text, "hacker");
  EXPECT_EQ(p.segments[3].origin, Origin::user);
}

TEST(TemplateFormat, FlattensPartsForTemplatesThatReadStrings) {
  const Conversation parts = talk(
      R"([{"role":"user","content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]}])");
  EXPECT_NE(make_template_format(chatml, {})->render(parts, {}).text().find("\nab<|im_end|>"),
            std::string::npos);
  const auto reader = make_template_format(
      "{% for m in messages %}{% if m.content is string %}{{ m.content }}{% else %}"
      "{% for p in m.content %}[{{ p.text }}]{% endfor %}{% endif %}{% endfor %}",
      {});
  EXPECT_EQ(reader->render(parts, {}).text(), "[a][b]");
}

TEST(TemplateFormat, GivesArgumentsInTheShapeTheTemplateReads) {
  const Conversation calls =
      talk(R"([{"role":"user","content":"u"},{"role":"assistant","content":"","tool_calls":[
      {"id":"1","type":"function","function":{"name":"f","arguments":"{\"b\": 1, \"a\": \"é\"}"}}]}])");
  const std::string loop = "{% for m in messages %}{% for c in m.tool_calls or [] %}";
  const auto as_object = make_template_format(
      loop + "{{ c.function.arguments | tojson }}{% endfor %}{% endfor %}", {});
  EXPECT_EQ(as_object->render(calls, {}).text(), R"({"b": 1, "a": "é"})");
  const auto as_text =
      make_template_format(loop + "{{ '' + c.function.arguments }}{% endfor %}{% endfor %}", {});
  EXPECT_EQ(as_text->render(calls, {}).text(), R"({"b": 1, "a": "é"})");
}

TEST(TemplateFormat, ContinuesThePrefix) {
  const auto format = make_template_format(chatml, {});
  const Conversation partial = talk(
      R"([{"role":"user","content":"u"},{"role":"assistant","content":"Once ","prefix":true}])");
  EXPECT_EQ(format->render(partial, {}).text(),
            "<|im_start|>user\nu<|im_end|>\n<|im_start|>assistant\nOnce ");
}

TEST(TemplateFormat, TakesListedVariablesOnly) {
  const auto format = make_template_format("{{ reasoning_effort }}{{ messages | length }}", {});
  Conversation conversation = talk("[]");
  conversation.kwargs = {{"reasoning_effort", "high"}};
  EXPECT_EQ(format->render(conversation, {}).text(), "high0");
  conversation.kwargs = {{"messages", "mine"}};
  EXPECT_THROW(format->render(conversation, {}), Error);
  conversation.kwargs = {{"bos_token", "mine"}};
  EXPECT_THROW(format->render(conversation, {}), Error);
}

// The same format written twice: natively, and as a template that jinja2 has checked.
TEST(NativeFormat, AgreesWithTemplatesOfTheSameFormat) {
  const SpecialTexts specials = {{"bos_token", BOS}, {"eos_token", EOS}};
  const auto format = [&](const std::string& name) {
    return make_template_format(read_file("tests/data/templates/" + name + ".jinja"), specials);
  };
  const Conversation history =
      talk(R"([{"role":"system","content":"A"},{"role":"user","content":"u"},
      {"role":"assistant","content":"<think>x</think>y"},{"role":"system","content":"B"},
      {"role":"user","content":"v"}])");
  RenderOptions options;
  for (const Conversation& conversation : {talk(kMulti), talk(kTools), history}) {
    const RenderedPrompt r1 = format("deepseek-r1")->render(conversation, {});
    EXPECT_EQ(r1.text(), text("deepseek-r1", conversation));
    EXPECT_EQ(r1.reasoning, ReasoningMode::inside);
    for (const Thinking thinking : {Thinking::off, Thinking::on}) {
      options.thinking = thinking;
      const RenderedPrompt v31 = format("deepseek-v3.1")->render(conversation, options);
      const RenderedPrompt native = prompt("deepseek-v3.1", conversation, thinking);
      EXPECT_EQ(v31.text(), native.text());
      EXPECT_EQ(v31.reasoning, native.reasoning);
    }
  }
  const Conversation partial = talk(R"([{"role":"user","content":"u"},
      {"role":"assistant","content":"Once","prefix":true}])");
  for (const Thinking thinking : {Thinking::off, Thinking::on}) {
    options.thinking = thinking;
    const RenderedPrompt v31 = format("deepseek-v3.1")->render(partial, options);
    const RenderedPrompt native = prompt("deepseek-v3.1", partial, thinking);
    EXPECT_EQ(v31.text(), native.text());
    EXPECT_EQ(v31.reasoning, native.reasoning);
  }
}

// The template that the V3 release ships.
TEST(NativeFormat, AgreesWithTheReleasedTemplate) {
  const char* data = std::getenv("NAUTILE_TEST_DATA");
  const std::string path = std::string(data != nullptr ? data : "../shared") +
                           "/tokenizers/deepseek_v3/tokenizer_config.json";
  if (!std::filesystem::exists(path)) GTEST_SKIP() << "no " << path << "; set NAUTILE_TEST_DATA";
  const std::string source = Json::parse(read_file(path))["chat_template"].get<std::string>();
  const auto format = make_template_format(source, {{"bos_token", BOS}, {"eos_token", EOS}});
  // One round of two calls, two results and an answer: what the template writes without faults.
  const Conversation tools = talk(R"([{"role":"system","content":"S"},{"role":"user","content":"u"},
      {"role":"assistant","content":null,"tool_calls":[
        {"type":"function","function":{"name":"f","arguments":"{\"a\": 1}"}},
        {"type":"function","function":{"name":"g","arguments":"{\"b\": \"é\"}"}}]},
      {"role":"tool","content":"r1"},{"role":"tool","content":"r2"},
      {"role":"assistant","content":"done"},{"role":"user","content":"more"}])");
  Conversation results = tools;  // the model goes on behind the results
  results.messages.erase(6);
  results.messages.erase(5);
  for (const Conversation& conversation :
       {talk(kMulti), talk(R"([{"role":"user","content":"hi"}])"), tools, results}) {
    EXPECT_EQ(format->render(conversation, {}).text(), text("deepseek-v3", conversation));
  }
}

}  // namespace
}  // namespace nautile
