// chat_format.cpp — what all formats ask of a conversation.
#include "text/chat_format.h"

#include <algorithm>

#include "base/error.h"

namespace nautile {
namespace {

using Json = nlohmann::ordered_json;

void check_content(const Json& content, std::size_t index) {
  if (content.is_string() || content.is_null()) return;
  NAUTILE_CHECK(content.is_array(),
                "messages[{}].content: expected a string, null or a list of parts", index);
  for (std::size_t i = 0; i < content.size(); ++i) {
    const Json& part = content[i];
    NAUTILE_CHECK(part.is_object() && part.contains("type") && part["type"].is_string(),
                  "messages[{}].content[{}]: expected an object with a type", index, i);
    NAUTILE_CHECK(part["type"] != "text" || (part.contains("text") && part["text"].is_string()),
                  "messages[{}].content[{}].text: expected a string", index, i);
  }
}

void check_calls(const Json& calls, std::size_t index) {
  if (calls.is_null()) return;
  NAUTILE_CHECK(calls.is_array(), "messages[{}].tool_calls: expected a list", index);
  for (std::size_t i = 0; i < calls.size(); ++i) {
    NAUTILE_CHECK(calls[i].is_object(), "messages[{}].tool_calls[{}]: expected an object", index,
                  i);
    const Json& call = calls[i].contains("function") ? calls[i]["function"] : calls[i];
    NAUTILE_CHECK(call.is_object() && call.contains("name") && call["name"].is_string(),
                  "messages[{}].tool_calls[{}].function.name: expected a string", index, i);
  }
}

}  // namespace

void check_conversation(const Conversation& conversation) {
  const Json& messages = conversation.messages;
  NAUTILE_CHECK(messages.is_array(), "messages: expected a list");
  for (std::size_t i = 0; i < messages.size(); ++i) {
    const Json& message = messages[i];
    NAUTILE_CHECK(message.is_object(), "messages[{}]: expected an object", i);
    NAUTILE_CHECK(message.contains("role") && message["role"].is_string(),
                  "messages[{}].role: expected a string", i);
    if (message.contains("content")) check_content(message["content"], i);
    if (message.contains("tool_calls")) check_calls(message["tool_calls"], i);
    NAUTILE_CHECK(!message.contains("prefix") || message["prefix"].is_boolean(),
                  "messages[{}].prefix: expected true or false", i);
  }
  NAUTILE_CHECK(conversation.tools.is_null() || conversation.tools.is_array(),
                "tools: expected a list");
  NAUTILE_CHECK(conversation.kwargs.is_null() || conversation.kwargs.is_object(),
                "chat_template_kwargs: expected an object");
}

const std::vector<std::string>& template_kwargs() {
  static const std::vector<std::string> kNames = {
      "add_vision_id",      "builtin_tools",   "clear_thinking",    "custom_tools",
      "date_string",        "documents",       "enable_thinking",   "force_reasoning",
      "keep_all_reasoning", "model_identity",  "preserve_thinking", "reasoning_effort",
      "thinking",           "thinking_budget", "thinking_mode",     "tools_in_user_message",
  };
  return kNames;
}

}  // namespace nautile
