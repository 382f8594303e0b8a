// tool_format.h — ToolFormat: how a family of models writes calls of tools.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "text/chat_format.h"
#include "text/tokenizer.h"

namespace nautile {

// A call as the API gives it; `arguments` is JSON text exactly as it was written.
struct ToolCall {
  std::string name;
  std::string arguments;
  bool operator==(const ToolCall&) const = default;
};

// The texts of a format. Calls come after what else is said:
//   content [after_content] block_open call [separator call]… block_close
//   call: call_open name arguments_open arguments call_close
struct ToolFormat {
  std::string_view name;  // "deepseek-v3"; see tool_format_names()
  enum class Syntax : std::uint8_t {
    deepseek,   // every part has a marker of its own
    json,       // an object of name and arguments between markers
    bare_json,  // the same without markers: nothing but calls may stand in the text
    any_json,   // json; also bare_json is understood
  } syntax = Syntax::json;
  // What the calls begin with, and what each does without a block: a beginning of block_open, or of
  // call_open where there is no block. Empty: bare_json.
  std::string_view trigger;
  std::string_view after_content, block_open, block_close;
  std::string_view call_open, arguments_open, call_close, separator;

  // Calls as earlier turns show them to the model; of none, nothing.
  std::string written(const std::vector<ToolCall>& calls) const;
};

// "deepseek-v3" (V3, V3-0324, R1), "deepseek-v3.1" (V3.1, V3.2-Exp), "hermes" (Qwen, Hermes),
// "llama3" (Llama 3.1 and later), "generic" (models without a convention: as hermes).
const std::vector<std::string>& tool_format_names();
// Throws Error(usage) listing them for another name. The formats live as long as the program.
const ToolFormat& tool_format_named(std::string_view name);

// What is known of a model; each may be empty.
struct ToolFormatClues {
  std::string_view chat_format = {};      // ChatFormat::name()
  std::string_view template_source = {};  // its Jinja template, if that is the format
  const Tokenizer* tokenizer = nullptr;
};
// By the native format's name, else by the markers in the template, else by added tokens; "generic"
// if none tells.
const ToolFormat& choose_tool_format(const ToolFormatClues& clues);

// Whether a marker is a special token of this tokenizer: the text must then be asked for with
// special tokens shown.
bool marks_by_special_token(const ToolFormat& format, const Tokenizer& tokenizer);

// What a chat format writes by itself of a conversation with tools; found by rendering a small one.
struct ToolWords {
  bool definitions = false;
  bool calls = false, calls_after_content = false;  // of messages without and with content
  bool results = false;
  // What it takes for no content beside calls: templates refuse or pass over the other.
  enum class Nothing : std::uint8_t { null, empty } nothing = Nothing::null;
};
ToolWords tool_words(const ChatFormat& format);
// Whether it has definitions, calls or results.
bool speaks_of_tools(const Conversation& conversation);
// The conversation with what the chat format has no words for put into messages: definitions and
// how to call go to the system message, calls into the assistant's content, results into a user's
// message. Its shape is that of check_conversation(). Throws Error(bad_input) naming the field.
Conversation with_tool_texts(const Conversation& conversation, const ToolFormat& format,
                             ToolWords words);

}  // namespace nautile
