// tool_texts.cpp — conversations with tools for chat formats that have no words for them.
#include <optional>

#include "base/error.h"
#include "text/output_plan.h"
#include "text/tool_format.h"

namespace nautile {
namespace {

using Json = nlohmann::ordered_json;

// What a probe is rendered to; nothing if the format refuses it.
std::optional<std::string> rendered(const ChatFormat& format, const Conversation& conversation) {
  RenderOptions options;
  options.now = 1;
  try {
    return format.render(conversation, options).text();
  } catch (const Error&) {
    return std::nullopt;
  }
}

bool shows(const std::optional<std::string>& text, std::initializer_list<std::string_view> parts) {
  for (const std::string_view part : parts) {
    if (!text || text->find(part) == std::string::npos) return false;
  }
  return true;
}

Json probe_tools() {
  return Json::parse(R"([{"type": "function", "function": {"name": "probe_tool",
      "description": "probe_use", "parameters": {"type": "object", "properties": {}}}}])");
}

Json probe_round(const Json& content) {
  Json messages = Json::parse(R"([{"role": "user", "content": "x"},
      {"role": "assistant", "tool_calls": [{"id": "call00001", "type": "function",
        "function": {"name": "probe_tool", "arguments": "{\"probe_key\": 1}"}}]},
      {"role": "tool", "tool_call_id": "call00001", "name": "probe_tool",
       "content": "probe_result"}])");
  messages[1]["content"] = content;
  return messages;
}

Json nothing_of(ToolWords::Nothing nothing) {
  return nothing == ToolWords::Nothing::null ? Json() : Json("");
}

// Adds to a message's content, which may be a list of parts.
void append(Json& message, const std::string& text) {
  if (!message.contains("content") || message["content"].is_null()) message["content"] = "";
  Json& content = message["content"];
  if (content.is_array()) {
    content.push_back({{"type", "text"}, {"text", text}});
  } else {
    content = content.get<std::string>() + text;
  }
}

bool says_something(const Json& message) {
  return message.contains("content") && !message["content"].is_null() &&
         !message["content"].empty() && message["content"] != "";
}

std::string text_of(const Json& message, std::size_t index) {
  if (!says_something(message)) return "";
  if (message["content"].is_string()) return message["content"].get<std::string>();
  std::string text;
  for (const Json& part : message["content"]) {
    NAUTILE_CHECK(part["type"] == "text", "messages[{}].content: a tool's result is text", index);
    text += part["text"].get_ref<const std::string&>();
  }
  return text;
}

std::vector<ToolCall> calls_of(const Json& message) {
  std::vector<ToolCall> calls;
  for (const Json& item : message["tool_calls"]) {
    const Json& function = item.contains("function") ? item["function"] : item;
    ToolCall call{function["name"].get<std::string>(), "{}"};
    if (function.contains("arguments")) {
      const Json& arguments = function["arguments"];
      call.arguments = arguments.is_string() ? arguments.get<std::string>() : arguments.dump();
    }
    calls.push_back(std::move(call));
  }
  return calls;
}

std::string definitions(const Json& tools, const ToolFormat& format) {
  (void)tool_specs(tools);  // checks them
  std::string text = "# Tools\n\nYou may call these tools:\n";
  for (const Json& tool : tools) text += fmt::format("{}\n", tool["function"].dump());
  const std::vector<ToolCall> example = {{"tool_name", R"({"parameter": "value"})"}};
  text += fmt::format("\nTo call a tool, end the answer with:\n{}\n", format.written(example));
  if (format.syntax != ToolFormat::Syntax::bare_json) {
    text += fmt::format("To call several at once:\n{}\n",
                        format.written({example[0], {"other_tool", "{}"}}));
  }
  return text;
}

bool has_calls(const Json& message) {
  return message.contains("tool_calls") && message["tool_calls"].is_array() &&
         !message["tool_calls"].empty();
}

}  // namespace

ToolWords tool_words(const ChatFormat& format) {
  ToolWords words;
  Conversation conversation;
  conversation.messages = Json::parse(R"([{"role": "user", "content": "x"}])");
  conversation.tools = probe_tools();
  words.definitions = shows(rendered(format, conversation), {"probe_tool", "probe_use"});
  if (!words.definitions) conversation.tools = nullptr;
  for (const auto nothing : {ToolWords::Nothing::null, ToolWords::Nothing::empty}) {
    conversation.messages = probe_round(nothing_of(nothing));
    const auto text = rendered(format, conversation);
    words.calls = shows(text, {"probe_tool", "probe_key"});
    words.results = words.calls && shows(text, {"probe_result"});
    words.nothing = nothing;
    if (words.calls) break;
  }
  conversation.messages = probe_round("probe_content");
  words.calls_after_content =
      shows(rendered(format, conversation), {"probe_content", "probe_tool", "probe_key"});
  return words;
}

bool speaks_of_tools(const Conversation& conversation) {
  if (conversation.tools.is_array() && !conversation.tools.empty()) return true;
  return std::any_of(
      conversation.messages.begin(), conversation.messages.end(), [](const Json& message) {
        return message.is_object() &&
               (message.contains("tool_calls") || message.value("role", Json()) == "tool");
      });
}

Conversation with_tool_texts(const Conversation& conversation, const ToolFormat& format,
                             ToolWords words) {
  check_conversation(conversation);
  Conversation result;
  result.kwargs = conversation.kwargs;
  result.tools = words.definitions ? conversation.tools : Json();
  bool after_result = false;
  for (std::size_t i = 0; i < conversation.messages.size(); ++i) {
    Json message = conversation.messages[i];
    const bool is_result = message["role"] == "tool";
    if (is_result && !words.results) {
      const std::string text =
          fmt::format("<tool_response>\n{}\n</tool_response>", text_of(message, i));
      if (after_result) {
        append(result.messages.back(), "\n" + text);
      } else {
        result.messages.push_back({{"role", "user"}, {"content", text}});
      }
    } else {
      const bool says = says_something(message);
      if (has_calls(message) && !(says ? words.calls_after_content : words.calls)) {
        append(message, fmt::format("{}{}", says ? format.after_content : "",
                                    format.written(calls_of(message))));
        message.erase("tool_calls");
      } else if (has_calls(message) && !says) {
        message["content"] = nothing_of(words.nothing);
      }
      result.messages.push_back(std::move(message));
    }
    after_result = is_result;
  }
  const Json& tools = conversation.tools;
  if (words.definitions || !tools.is_array() || tools.empty()) return result;
  const std::string text = definitions(tools, format);
  if (!result.messages.empty() && result.messages[0]["role"] == "system") {
    append(result.messages[0], (says_something(result.messages[0]) ? "\n\n" : "") + text);
  } else {
    result.messages.insert(result.messages.begin(), Json{{"role", "system"}, {"content", text}});
  }
  return result;
}

}  // namespace nautile
