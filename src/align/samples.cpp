#include "align/samples.h"

#include <algorithm>

#include "base/error.h"

namespace nautile::align {
namespace {

using Json = nlohmann::ordered_json;
using train::ChatSample;

void check_messages(const Json& messages, const char* field) {
  for (std::size_t i = 0; messages.is_array() && i < messages.size(); ++i) {
    const Json& message = messages[i];
    if (!message.is_object() || !message.contains("role") || !message["role"].is_string()) continue;
    const std::string role = message["role"];
    const bool known = role == "system" || role == "developer" || role == "user" ||
                       role == "assistant" || role == "tool";
    NAUTILE_CHECK(known, "{}[{}].role: '{}' (expected system, developer, user, assistant or tool)",
                  field, i, role);
    const auto content = message.find("content");
    const bool nothing = content == message.end() || content->is_null();
    NAUTILE_CHECK(!nothing || message.contains("tool_calls"),
                  "{}[{}].content: expected a text or a list of parts, found {}", field, i,
                  content == message.end() ? "no such field" : "null");
  }
}

// With what the chat format has no words for as text.
Json with_tools(const ChatEncoder& encoder, const Json& line) {
  Conversation conversation;
  if (const auto at = line.find("messages"); at != line.end()) conversation.messages = *at;
  if (const auto at = line.find("tools"); at != line.end()) conversation.tools = *at;
  if (!conversation.messages.is_array() || !speaks_of_tools(conversation)) return line;
  conversation = with_tool_texts(conversation, encoder.tools, encoder.words);
  Json said = {{"messages", std::move(conversation.messages)}};
  if (!conversation.tools.is_null()) said["tools"] = std::move(conversation.tools);
  return said;
}

// A field of a preference as messages; a text is one message of `role`.
Json messages_of(const Json& line, const char* field, const char* role) {
  const auto at = line.find(field);
  NAUTILE_CHECK(at != line.end(), "there is no field \"{}\"", field);
  if (at->is_string()) return Json::array({{{"role", role}, {"content", *at}}});
  NAUTILE_CHECK(at->is_array() && !at->empty(),
                "{}: expected a text or a list of messages, found {}", field,
                at->is_array() ? "an empty list" : at->type_name());
  check_messages(*at, field);
  return *at;
}

std::size_t answers_in(const Json& messages) {
  return static_cast<std::size_t>(
      std::count_if(messages.begin(), messages.end(), [](const Json& message) {
        return message.is_object() && message.contains("role") && message["role"] == "assistant";
      }));
}

// The last sample of prompt and answer, in which only the answer's turns are to be learnt.
ChatSample encode_answer(const ChatEncoder& encoder, const Json& line, Json prompt,
                         const Json& answer, const char* field) {
  const std::size_t turns = answers_in(answer);
  NAUTILE_CHECK(turns > 0, "{}: no message is of the assistant", field);
  for (const Json& message : answer) prompt.push_back(message);
  Json conversation = {{"messages", std::move(prompt)}};
  if (line.contains("tools")) conversation["tools"] = line["tools"];
  std::vector<ChatSample> samples;
  try {
    samples =
        train::encode_chat(encoder.tokenizer, encoder.format, with_tools(encoder, conversation));
  } catch (const Error& error) {
    throw error.with("in {}", field);
  }
  ChatSample& sample = samples.back();
  NAUTILE_CHECK(sample.runs.size() >= turns,
                "{}: {} turns of the assistant, and the chat format rewrites all but the last",
                field, turns);
  sample.runs.erase(sample.runs.begin(), sample.runs.end() - static_cast<std::ptrdiff_t>(turns));
  return std::move(sample);
}

}  // namespace

std::vector<SampleGroup> encode_conversation(const ChatEncoder& encoder, const Json& line) {
  if (const auto messages = line.find("messages"); messages != line.end())
    check_messages(*messages, "messages");
  std::vector<SampleGroup> groups;
  for (ChatSample& sample :
       train::encode_chat(encoder.tokenizer, encoder.format, with_tools(encoder, line)))
    groups.push_back({std::move(sample)});
  return groups;
}

std::vector<SampleGroup> encode_preference(const ChatEncoder& encoder, const Json& line) {
  Json chosen = messages_of(line, "chosen", "assistant"),
       rejected = messages_of(line, "rejected", "assistant"), prompt = Json::array();
  if (line.contains("prompt")) {
    prompt = messages_of(line, "prompt", "user");
  } else {
    while (chosen.size() > 1 && rejected.size() > 1 && chosen[0] == rejected[0]) {
      prompt.push_back(chosen[0]);
      chosen.erase(chosen.begin());
      rejected.erase(rejected.begin());
    }
    NAUTILE_CHECK(!prompt.empty(),
                  "there is no field \"prompt\", and chosen and rejected begin with no message in "
                  "common");
  }
  NAUTILE_CHECK(chosen != rejected, "chosen and rejected are the same");
  SampleGroup pair;
  pair.push_back(encode_answer(encoder, line, prompt, chosen, "chosen"));
  pair.push_back(encode_answer(encoder, line, prompt, rejected, "rejected"));
  return {std::move(pair)};
}

}  // namespace nautile::align
