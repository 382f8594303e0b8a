// chat_format.h — how a conversation is written for a model: its own template, or a native format.
#pragma once

#include <ctime>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "text/chat_segment.h"
#include "text/reasoning.h"

namespace nautile {

// What is said, in the shape of OpenAI's API.
struct Conversation {
  // An array of objects: role, content (a string, null or a list of parts), and where they apply
  // reasoning_content, tool_calls, tool_call_id, name. `"prefix": true` on a last message of the
  // assistant means that its text is to be continued.
  nlohmann::ordered_json messages = nlohmann::ordered_json::array();
  nlohmann::ordered_json tools;  // an array of tool objects, or null
  nlohmann::ordered_json
      kwargs;  // further template variables by name (see template_kwargs), or null
};

enum class GenerationPrompt { none, add };  // add: end where the assistant is to speak
enum class Thinking { unset, off, on };     // unset: as the format does by itself

struct RenderOptions {
  GenerationPrompt generation_prompt = GenerationPrompt::add;
  Thinking thinking = Thinking::unset;
  std::time_t now = 0;  // what templates take for the current time; 0: the clock
};

struct RenderedPrompt {
  std::vector<Segment> segments;  // encode with encode_segments; BOS is already in them
  ReasoningMode reasoning = ReasoningMode::none;  // of the text the model will write
  std::string text() const { return joined(segments); }
};

// Immutable; rendering from many threads is safe.
class ChatFormat {
 public:
  virtual ~ChatFormat() = default;
  // "deepseek-v3", or "template" for a model's own.
  virtual const std::string& name() const = 0;
  // Throws Error(bad_input) naming the field for malformed conversations and for what the template
  // refuses, Error(unsupported) for what the format has no words for.
  virtual RenderedPrompt render(const Conversation& conversation,
                                const RenderOptions& options) const = 0;
};

// The model's special tokens by name, as templates see them: ("bos_token", "<s>"), …
using SpecialTexts = std::vector<std::pair<std::string, std::string>>;

// A model's own Jinja template. Throws Error(bad_input) with the template's line.
std::unique_ptr<ChatFormat> make_template_format(std::string_view source, SpecialTexts specials);

// Formats for checkpoints without a template: "deepseek-v2", "deepseek-v2.5", "deepseek-v3",
// "deepseek-r1", "deepseek-v3.1". Throws Error(usage) listing them for another name.
std::unique_ptr<ChatFormat> make_native_format(std::string_view name);
const std::vector<std::string>& native_format_names();

// Template variables that a caller may set; all others are refused, so that a request can neither
// replace what nautile passes nor reach what a template keeps for itself.
const std::vector<std::string>& template_kwargs();

// Checks the shape of the messages, for all formats. Throws Error(bad_input) naming the field.
void check_conversation(const Conversation& conversation);

}  // namespace nautile
