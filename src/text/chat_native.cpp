// chat_native.cpp — DeepSeek's prompt formats written out, for checkpoints without a template.
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "text/chat_format.h"
#include "text/jinja_json.h"

namespace nautile {
namespace {

using Json = nlohmann::ordered_json;
using jinja::Text;

constexpr std::string_view kBos = "<｜begin▁of▁sentence｜>";
constexpr std::string_view kEos = "<｜end▁of▁sentence｜>";
constexpr std::string_view kUser = "<｜User｜>";
constexpr std::string_view kAssistant = "<｜Assistant｜>";
constexpr std::string_view kCallsBegin = "<｜tool▁calls▁begin｜>";
constexpr std::string_view kCallsEnd = "<｜tool▁calls▁end｜>";
constexpr std::string_view kCallBegin = "<｜tool▁call▁begin｜>";
constexpr std::string_view kCallEnd = "<｜tool▁call▁end｜>";
constexpr std::string_view kSeparator = "<｜tool▁sep｜>";
constexpr std::string_view kOutputsBegin = "<｜tool▁outputs▁begin｜>";
constexpr std::string_view kOutputsEnd = "<｜tool▁outputs▁end｜>";
constexpr std::string_view kOutputBegin = "<｜tool▁output▁begin｜>";
constexpr std::string_view kOutputEnd = "<｜tool▁output▁end｜>";

// The tool instructions of DeepSeek-V3.1's model card (an interoperability literal, compared word
// by word with the templates that serving frameworks made of the card).
constexpr std::string_view kToolRules =
    "\nIMPORTANT: ALWAYS adhere to this exact format for tool use:\n"
    "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>tool_call_name<｜tool▁sep｜>tool_call_arguments"
    "<｜tool▁call▁end｜>{additional_tool_calls}<｜tool▁calls▁end｜>\n\nWhere:\n\n"
    "- `tool_call_name` must be an exact match to one of the available tools\n"
    "- `tool_call_arguments` must be valid JSON that strictly follows the tool's Parameters "
    "Schema\n"
    "- For multiple tool calls, chain them directly without separators or spaces\n";

// The text of a message: null is empty, text parts are joined.
std::string content_of(const Json& message, std::size_t index) {
  if (!message.contains("content") || message["content"].is_null()) return "";
  const Json& content = message["content"];
  if (content.is_string()) return content.get<std::string>();
  std::string text;
  for (const Json& part : content) {
    if (part["type"] != "text") {
      fail(ErrorKind::unsupported,
           "messages[{}].content: this model reads text only, found a part of type {}", index,
           part["type"].dump().substr(0, 60));
    }
    text += part["text"].get_ref<const std::string&>();
  }
  return text;
}

// json.dumps(value, ensure_ascii=False).
std::string dumped(const Json& value) {
  jinja::Budgets budgets;
  budgets.steps = 100'000'000;
  budgets.heap_bytes = std::size_t{256} << 20;
  jinja::Machine machine(budgets);
  const auto origin = [](std::string_view, std::string_view) { return Origin::user; };
  return jinja::to_json(machine, jinja::from_json(machine, value, origin), jinja::JsonStyle())
      .bytes();
}

std::string arguments_of(const Json& function) {
  if (!function.contains("arguments")) return "{}";
  const Json& arguments = function["arguments"];
  return arguments.is_string() ? arguments.get<std::string>() : dumped(arguments);
}

// One conversation being written.
struct Writing {
  const Conversation& conversation;
  const RenderOptions& options;
  Text out;

  const Json& messages() const { return conversation.messages; }
  void format(std::string_view text) { out.append(text, Origin::format); }
  void user(std::string_view text) { out.append(text, Origin::user); }

  std::string role(std::size_t i) const { return messages()[i]["role"].get<std::string>(); }
  bool last(std::size_t i) const { return i + 1 == messages().size(); }
  bool is_prefix(std::size_t i) const { return last(i) && messages()[i].value("prefix", false); }
  bool has_calls(std::size_t i) const {
    const Json& message = messages()[i];
    return message.contains("tool_calls") && message["tool_calls"].is_array() &&
           !message["tool_calls"].empty();
  }

  // All system messages, joined by blank lines.
  std::string system() const {
    std::string text;
    bool first = true;
    for (std::size_t i = 0; i < messages().size(); ++i) {
      if (role(i) != "system") continue;
      if (!first) text += "\n\n";
      text += content_of(messages()[i], i);
      first = false;
    }
    return text;
  }
};

[[noreturn]] void unknown_role(const std::string& role, std::size_t index,
                               std::string_view format) {
  fail(ErrorKind::bad_input, "messages[{}].role: {} has no role '{}'", index, format,
       role.substr(0, 60));
}

class NativeFormat : public ChatFormat {
 public:
  explicit NativeFormat(std::string name) : name_(std::move(name)) {}
  const std::string& name() const override { return name_; }

  RenderedPrompt render(const Conversation& conversation,
                        const RenderOptions& options) const override {
    check_conversation(conversation);
    for (const Json& message : conversation.messages) check_utf8(message);
    Writing writing{conversation, options, Text()};
    writing.format(kBos);
    RenderedPrompt prompt;
    prompt.reasoning = write(writing);
    prompt.segments = writing.out.segments();
    return prompt;
  }

 protected:
  virtual ReasoningMode write(Writing& writing) const = 0;

  void refuse_tools(const Writing& writing) const {
    if (writing.conversation.tools.is_array() && !writing.conversation.tools.empty()) {
      throw make_error(ErrorKind::unsupported,
                       "tools: {} has no words for tool definitions of its own", name_)
          .hint("describe the tools in the system message; calls and results have their format");
    }
  }
  void refuse_thinking(const Writing& writing, Thinking mode) const {
    if (writing.options.thinking == mode) {
      fail(ErrorKind::unsupported, "thinking: {} {} reason", name_,
           mode == Thinking::on ? "does not" : "cannot but");
    }
  }

 private:
  static void check_utf8(const Json& message) { (void)dumped(message); }

  std::string name_;
};

// "User: …\n\nAssistant: …": plain words, no role tokens.
class V2Format : public NativeFormat {
 public:
  V2Format() : NativeFormat("deepseek-v2") {}

 protected:
  ReasoningMode write(Writing& w) const override {
    refuse_tools(w);
    refuse_thinking(w, Thinking::on);
    bool awaited = true;
    for (std::size_t i = 0; i < w.messages().size(); ++i) {
      const std::string text = content_of(w.messages()[i], i);
      const std::string role = w.role(i);
      if (role == "system") {
        w.user(text);
        w.format("\n\n");
      } else if (role == "user") {
        w.format("User: ");
        w.user(text);
        w.format("\n\n");
      } else if (role == "assistant") {
        w.format("Assistant: ");
        w.user(text);
        awaited = !w.is_prefix(i);
        if (awaited) w.format(kEos);
      } else {
        unknown_role(role, i, name());
      }
    }
    if (awaited && w.options.generation_prompt == GenerationPrompt::add) w.format("Assistant:");
    return ReasoningMode::none;
  }
};

// V3 and R1, and what V3.1 shares with them: role tokens, tool calls and results. The template that
// V3 was released with is the source, with three faults of its left out: it ends a message with one
// call by no token, and begins neither the calls nor the results of a second round. It has no words
// for tool definitions; R1's has none either.
class TokenFormat : public NativeFormat {
 public:
  using NativeFormat::NativeFormat;

 protected:
  ReasoningMode write(Writing& w) const override {
    begin(w);
    Speaker before = Speaker::user;
    bool awaited = true;
    for (std::size_t i = 0; i < w.messages().size(); ++i) {
      const std::string role = w.role(i);
      if (role == "system") continue;
      if (role == "user") {
        close_results(w, before);
        w.format(kUser);
        w.user(content_of(w.messages()[i], i));
        before = Speaker::user;
      } else if (role == "assistant") {
        awaited = assistant(w, i, before);
        before = Speaker::assistant;
      } else if (role == "tool") {
        result(w, content_of(w.messages()[i], i), before);
        before = Speaker::tool;
      } else {
        unknown_role(role, i, name());
      }
    }
    if (!awaited) return after_prefix(w);
    close_results(w, before);
    // The model goes on directly after results.
    if (before == Speaker::tool) return ReasoningMode::none;
    if (w.options.generation_prompt == GenerationPrompt::none) return ReasoningMode::none;
    w.format(kAssistant);
    return open_answer(w);
  }

  enum class Speaker { user, assistant, tool };

  // Everything before the first turn, after BOS.
  virtual void begin(Writing& w) const {
    refuse_tools(w);
    w.user(w.system());
  }
  // What stands before a past answer, after the assistant's token.
  virtual void open_past(Writing&) const {}
  // The same before the answer that is to come.
  virtual ReasoningMode open_answer(Writing& w) const = 0;
  // A past answer as history keeps it.
  virtual std::string past(const std::string& text) const { return text; }
  virtual ReasoningMode after_prefix(const Writing&) const { return ReasoningMode::none; }
  // What stands before a text that is to be continued.
  virtual void open_prefix(Writing& w) const { open_past(w); }
  virtual void call(Writing& w, const Json& function, std::size_t number) const {
    if (number > 0) w.format("\n");
    w.format(kCallBegin);
    w.format("function");
    w.format(kSeparator);
    w.user(function["name"].get<std::string>());
    w.format("\n```json\n");
    w.user(arguments_of(function));
    w.format("\n```");
    w.format(kCallEnd);
  }
  virtual void result(Writing& w, const std::string& text, Speaker before) const {
    w.format(before == Speaker::tool ? "\n" : kOutputsBegin);
    w.format(kOutputBegin);
    w.user(text);
    w.format(kOutputEnd);
  }
  virtual void close_results(Writing& w, Speaker before) const {
    if (before == Speaker::tool) w.format(kOutputsEnd);
  }

 private:
  // False if the message is to be continued.
  bool assistant(Writing& w, std::size_t i, Speaker before) const {
    const Json& message = w.messages()[i];
    const bool is_prefix = w.is_prefix(i);
    close_results(w, before);
    if (before != Speaker::tool) {
      w.format(kAssistant);
      if (is_prefix) {
        open_prefix(w);
      } else {
        open_past(w);
      }
    }
    const std::string text = content_of(message, i);
    w.user(is_prefix ? text : past(text));
    if (is_prefix) return false;
    if (w.has_calls(i)) {
      w.format(kCallsBegin);
      std::size_t number = 0;
      for (const Json& item : message["tool_calls"]) {
        call(w, item.contains("function") ? item["function"] : item, number++);
      }
      w.format(kCallsEnd);
    }
    w.format(kEos);
    return true;
  }
};

class V3Format : public TokenFormat {
 public:
  explicit V3Format(std::string name) : TokenFormat(std::move(name)) {}

 protected:
  ReasoningMode open_answer(Writing& w) const override {
    refuse_thinking(w, Thinking::on);
    return ReasoningMode::none;
  }
};

class R1Format : public TokenFormat {
 public:
  R1Format() : TokenFormat("deepseek-r1") {}

 protected:
  ReasoningMode open_answer(Writing& w) const override {
    refuse_thinking(w, Thinking::off);
    w.format("<think>\n");
    return ReasoningMode::inside;
  }
  // Earlier reasoning is not shown to the model again.
  std::string past(const std::string& text) const override {
    const std::size_t at = text.rfind("</think>");
    return at == std::string::npos ? text : text.substr(at + 8);
  }
};

class V31Format : public TokenFormat {
 public:
  V31Format() : TokenFormat("deepseek-v3.1") {}

 protected:
  void begin(Writing& w) const override {
    const std::string system = w.system();
    w.user(system);
    const Json& tools = w.conversation.tools;
    if (!tools.is_array() || tools.empty()) return;
    w.format("\n\n");  // also without a system text
    w.format("## Tools\nYou have access to the following tools:\n");
    for (std::size_t i = 0; i < tools.size(); ++i) tool(w, tools[i], i);
    w.format(kToolRules);
  }
  void open_past(Writing& w) const override { w.format("</think>"); }
  void open_prefix(Writing& w) const override {
    w.format(w.options.thinking == Thinking::on ? "<think>" : "</think>");
  }
  ReasoningMode after_prefix(const Writing& w) const override {
    const bool closed = content_of(w.messages().back(), 0).find("</think>") != std::string::npos;
    return w.options.thinking == Thinking::on && !closed ? ReasoningMode::inside
                                                         : ReasoningMode::none;
  }
  ReasoningMode open_answer(Writing& w) const override {
    const bool thinking = w.options.thinking == Thinking::on;
    w.format(thinking ? "<think>" : "</think>");
    return thinking ? ReasoningMode::inside : ReasoningMode::none;
  }
  std::string past(const std::string& text) const override {
    const std::size_t at = text.find("</think>");
    return at == std::string::npos ? text : text.substr(at + 8);
  }
  void call(Writing& w, const Json& function, std::size_t) const override {
    w.format(kCallBegin);
    w.user(function["name"].get<std::string>());
    w.format(kSeparator);
    w.user(arguments_of(function));
    w.format(kCallEnd);
  }
  void result(Writing& w, const std::string& text, Speaker) const override {
    w.format(kOutputBegin);
    w.user(text);
    w.format(kOutputEnd);
  }
  void close_results(Writing&, Speaker) const override {}

 private:
  static void tool(Writing& w, const Json& tool, std::size_t index) {
    const Json& function = tool.is_object() && tool.contains("function") ? tool["function"] : tool;
    NAUTILE_CHECK(function.is_object() && function.contains("name") && function["name"].is_string(),
                  "tools[{}].function.name: expected a string", index);
    w.format("\n### ");
    w.user(function["name"].get<std::string>());
    w.format("\nDescription: ");
    if (function.contains("description") && function["description"].is_string()) {
      w.user(function["description"].get<std::string>());
    }
    w.format("\n\nParameters: ");
    w.user(function.contains("parameters") ? dumped(function["parameters"]) : "{}");
    w.format("\n");
  }
};

}  // namespace

const std::vector<std::string>& native_format_names() {
  static const std::vector<std::string> kNames = {"deepseek-v2", "deepseek-v2.5", "deepseek-v3",
                                                  "deepseek-r1", "deepseek-v3.1"};
  return kNames;
}

std::unique_ptr<ChatFormat> make_native_format(std::string_view name) {
  if (name == "deepseek-v2") return std::make_unique<V2Format>();
  if (name == "deepseek-v2.5" || name == "deepseek-v3") {
    return std::make_unique<V3Format>(std::string(name));
  }
  if (name == "deepseek-r1") return std::make_unique<R1Format>();
  if (name == "deepseek-v3.1") return std::make_unique<V31Format>();
  std::string known;
  for (const std::string& other : native_format_names())
    known += (known.empty() ? "" : ", ") + other;
  fail(ErrorKind::usage, "unknown chat format '{}'; there are {}", name.substr(0, 60), known);
}

}  // namespace nautile
