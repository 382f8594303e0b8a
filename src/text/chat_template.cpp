// chat_template.cpp — a chat format that runs the model's own Jinja template.
#include <algorithm>
#include <array>
#include <optional>

#include "base/error.h"
#include "base/json.h"
#include "text/chat_format.h"
#include "text/jinja_template.h"

namespace nautile {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::array<std::string_view, 8> kRoles = {
    "system", "user", "assistant", "tool", "function", "developer", "ipython", "environment"};
constexpr std::array<std::string_view, 3> kTypes = {"function", "text", "object"};

bool is_among(std::string_view word, const auto& words) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

// Roles and types are words of the protocol; templates build control tokens from them ('<|' + role
// +
// '|>'). Everything else in a conversation is the user's.
Origin conversation_origin(std::string_view key, std::string_view text) {
  if (key == "role" && is_among(text, kRoles)) return Origin::format;
  if (key == "type" && is_among(text, kTypes)) return Origin::format;
  return Origin::user;
}

Origin format_origin(std::string_view, std::string_view) {
  return Origin::format;
}

std::string without_space(std::string_view text, std::string_view* before = nullptr) {
  const std::size_t begin = std::min(text.find_first_not_of(" \t\r\n"), text.size());
  const std::size_t end = text.find_last_not_of(" \t\r\n");
  if (before != nullptr) *before = text.substr(0, begin);
  return end == std::string_view::npos ? std::string()
                                       : std::string(text.substr(begin, end + 1 - begin));
}

// How a template wants parts of a message that come in two shapes.
struct Habits {
  bool reads_parts = false;      // content as a list of parts
  bool reads_arguments = false;  // tool arguments as a JSON object, not as a string
};

class TemplateFormat : public ChatFormat {
 public:
  TemplateFormat(std::string_view source, SpecialTexts specials)
      : compiled_(source), knows_thinking_(source.find("think>") != std::string_view::npos) {
    for (auto& [name, text] : specials)
      specials_.emplace_back(std::move(name), Json(std::move(text)));
    habits_.reads_parts = probe_parts();
    habits_.reads_arguments = probe_arguments();
  }

  const std::string& name() const override {
    static const std::string kName = "template";
    return kName;
  }

  RenderedPrompt render(const Conversation& conversation,
                        const RenderOptions& options) const override {
    check_conversation(conversation);
    const Json messages = shaped(conversation.messages);
    const bool continues = continued(messages);
    RenderOptions adjusted = options;
    std::string partial;
    if (continues) {
      adjusted.generation_prompt = GenerationPrompt::none;
      partial = continued_text(messages);
    }
    jinja::Text text = run(messages, conversation, adjusted);
    if (continues) text = cut_after(text, partial);
    RenderedPrompt prompt;
    prompt.segments = text.segments();
    prompt.reasoning = reasoning_after(prompt.segments, continues);
    return prompt;
  }

 private:
  jinja::Text run(const Json& messages, const Conversation& conversation,
                  const RenderOptions& options) const {
    const Json nothing;
    const Json generate = options.generation_prompt == GenerationPrompt::add;
    const Json thinking = options.thinking == Thinking::on;
    std::vector<jinja::Variable> variables;
    for (const auto& [name, text] : specials_) variables.push_back({name, &text, format_origin});
    variables.push_back({"documents", &nothing, format_origin});
    if (options.thinking != Thinking::unset) {
      // DeepSeek's templates ask the one, Qwen's and GLM's the other.
      variables.push_back({"thinking", &thinking, format_origin});
      variables.push_back({"enable_thinking", &thinking, format_origin});
    }
    if (conversation.kwargs.is_object()) {
      for (const auto& [name, value] : conversation.kwargs.items()) {
        NAUTILE_CHECK(is_among(name, template_kwargs()),
                      "chat_template_kwargs.{}: not a name that may be set", name.substr(0, 60));
        variables.push_back({name, &value, [](auto, auto) { return Origin::user; }});
      }
    }
    variables.push_back({"messages", &messages, conversation_origin});
    variables.push_back({"tools", &conversation.tools, conversation_origin});
    variables.push_back({"add_generation_prompt", &generate, format_origin});
    return compiled_.render(variables, budgets(messages, conversation.tools),
                            options.now != 0 ? options.now : std::time(nullptr));
  }

  // Long conversations get in proportion; what a template does with a short one stays bounded.
  static jinja::Budgets budgets(const Json& messages, const Json& tools) {
    const std::size_t bytes = text_bytes(messages) + text_bytes(tools);
    jinja::Budgets budgets;
    budgets.steps += 4000 * messages.size() + bytes;
    budgets.heap_bytes += 32 * bytes;
    budgets.output_bytes += 4 * bytes;
    return budgets;
  }

  static std::size_t text_bytes(const Json& json, int depth = 0) {
    if (json.is_string()) return json.get_ref<const std::string&>().size() + 16;
    std::size_t bytes = 16;
    if (depth < jinja::kMaxValueDepth && json.is_structured()) {
      for (const Json& item : json) bytes += text_bytes(item, depth + 1);
    }
    return bytes;
  }

  // ---- shapes
  Json shaped(const Json& messages) const {
    Json result = messages;
    for (std::size_t i = 0; i < result.size(); ++i) {
      Json& message = result[i];
      if (!habits_.reads_parts) flatten_parts(message, i);
      if (habits_.reads_arguments) parse_arguments(message, i);
      // Other names under which servers return it.
      for (const char* alias : {"thinking", "reasoning"}) {
        if (message.contains("reasoning_content") || !message.contains(alias)) continue;
        if (message[alias].is_string()) message["reasoning_content"] = message[alias];
      }
    }
    return result;
  }

  static void flatten_parts(Json& message, std::size_t index) {
    if (!message.contains("content") || !message["content"].is_array()) return;
    std::string text;
    for (const Json& part : message["content"]) {
      if (part["type"] != "text") {
        fail(ErrorKind::unsupported,
             "messages[{}].content: this model's template has no parts of type {}", index,
             part["type"].dump().substr(0, 60));
      }
      text += part["text"].get_ref<const std::string&>();
    }
    message["content"] = text;
  }

  static void parse_arguments(Json& message, std::size_t index) {
    if (!message.contains("tool_calls") || !message["tool_calls"].is_array()) return;
    for (Json& call : message["tool_calls"]) {
      Json& function = call.contains("function") ? call["function"] : call;
      if (!function.contains("arguments") || !function["arguments"].is_string()) continue;
      const std::string text = function["arguments"].get<std::string>();
      try {
        function["arguments"] =
            parse_ordered_json(text, "arguments", {.repeated = RepeatedNames::last});
      } catch (const Error& error) {
        throw error.with("messages[{}].tool_calls", index);
      }
    }
  }

  // Renders a small conversation of one's own; nothing if the template refuses it.
  std::optional<std::string> probe(Json messages) const {
    Conversation conversation;
    RenderOptions options;
    options.now = 1;
    try {
      return run(messages, conversation, options).bytes();
    } catch (const Error&) {
      return std::nullopt;
    }
  }

  bool probe_parts() const {
    const auto text =
        probe(Json::parse(R"([{"role": "user", "content": [{"type": "text", "text": "PROBE"}]}])"));
    return text && text->find("PROBE") != std::string::npos &&
           text->find("'type'") == std::string::npos && text->find("\"type\"") == std::string::npos;
  }

  // Strings are how the API sends arguments, so they stay if the template writes them faithfully.
  bool probe_arguments() const {
    Json messages = Json::parse(R"([
        {"role": "user", "content": "x"},
        {"role": "assistant", "content": null,
         "tool_calls": [{"id": "call00001", "type": "function", "function": {"name": "probe"}}]},
        {"role": "tool", "tool_call_id": "call00001", "content": "y"}])");
    Json& arguments = messages[1]["tool_calls"][0]["function"]["arguments"];
    arguments = R"({"probe_key": 1})";
    const auto as_text = probe(messages);
    if (as_text && as_text->find(R"({"probe_key": 1})") != std::string::npos) return false;
    arguments = Json::parse(R"({"probe_key": 1})");
    const auto as_object = probe(messages);
    return as_object && as_object->find("probe_key") != std::string::npos;
  }

  // ---- continuing the assistant's last message
  static bool continued(const Json& messages) {
    return !messages.empty() && messages.back()["role"] == "assistant" &&
           messages.back().value("prefix", false);
  }

  static std::string continued_text(const Json& messages) {
    const Json& message = messages.back();
    NAUTILE_CHECK(message.contains("content") && message["content"].is_string(),
                  "messages[{}].content: a message to be continued needs text",
                  messages.size() - 1);
    return message["content"].get<std::string>();
  }

  // The prompt up to the end of the partial text; what the template writes after it is dropped.
  static jinja::Text cut_after(const jinja::Text& text, const std::string& partial) {
    std::string needle = partial;
    std::size_t at = text.bytes().rfind(needle);
    if (at == std::string::npos || needle.empty()) {
      needle = without_space(partial);  // templates may trim
      at = text.bytes().rfind(needle);
    }
    if (at == std::string::npos || needle.empty()) {
      fail(ErrorKind::unsupported,
           "this model's template does not keep the text to be continued as it is");
    }
    return text.slice(0, at + needle.size());
  }

  // What the prompt's own last words say about the text that follows.
  ReasoningMode reasoning_after(const std::vector<Segment>& segments, bool continues) const {
    if (!knows_thinking_ || segments.empty()) return ReasoningMode::none;
    if (!continues) {
      if (segments.back().origin != Origin::format) return ReasoningMode::may_open;
      const std::string tail = without_space(segments.back().text);
      if (tail.ends_with("<think>")) return ReasoningMode::inside;
      return tail.ends_with("</think>") ? ReasoningMode::none : ReasoningMode::may_open;
    }
    // The last tag that the template wrote, unless the partial text itself closes it.
    std::string after;
    for (auto segment = segments.rbegin(); segment != segments.rend(); ++segment) {
      after.insert(0, segment->text);
      if (segment->origin != Origin::format) continue;
      const std::size_t open = segment->text.rfind("<think>");
      const std::size_t close = segment->text.rfind("</think>");
      if (open == std::string::npos && close == std::string::npos) continue;
      const bool opened = close == std::string::npos || (open != std::string::npos && open > close);
      const bool closed_later = after.find("</think>", opened ? open : 0) != std::string::npos;
      return opened && !closed_later ? ReasoningMode::inside : ReasoningMode::none;
    }
    return ReasoningMode::none;
  }

  jinja::Template compiled_;
  std::vector<std::pair<std::string, Json>> specials_;
  bool knows_thinking_;
  Habits habits_;
};

}  // namespace

std::unique_ptr<ChatFormat> make_template_format(std::string_view source, SpecialTexts specials) {
  return std::make_unique<TemplateFormat>(source, std::move(specials));
}

}  // namespace nautile
