#include "text/tool_format.h"

#include <array>

#include "base/error.h"

namespace nautile {
namespace {

using Syntax = ToolFormat::Syntax;

// Interoperability literals: chat_native.cpp and the models' own templates write the same.
constexpr ToolFormat kDeepSeekV3 = {
    .name = "deepseek-v3",
    .syntax = Syntax::deepseek,
    .trigger = "<｜tool▁calls▁begin｜>",
    .after_content = "",
    .block_open = "<｜tool▁calls▁begin｜>",
    .block_close = "<｜tool▁calls▁end｜>",
    .call_open = "<｜tool▁call▁begin｜>function<｜tool▁sep｜>",
    .arguments_open = "\n```json\n",
    .call_close = "\n```<｜tool▁call▁end｜>",
    .separator = "\n",
};
constexpr ToolFormat kDeepSeekV31 = {
    .name = "deepseek-v3.1",
    .syntax = Syntax::deepseek,
    .trigger = "<｜tool▁calls▁begin｜>",
    .after_content = "",
    .block_open = "<｜tool▁calls▁begin｜>",
    .block_close = "<｜tool▁calls▁end｜>",
    .call_open = "<｜tool▁call▁begin｜>",
    .arguments_open = "<｜tool▁sep｜>",
    .call_close = "<｜tool▁call▁end｜>",
    .separator = "",
};
constexpr ToolFormat kHermes = {
    .name = "hermes",
    .syntax = Syntax::json,
    .trigger = "<tool_call>",
    .after_content = "\n",
    .block_open = "",
    .block_close = "",
    .call_open = "<tool_call>\n{\"name\": \"",
    .arguments_open = "\", \"arguments\": ",
    .call_close = "}\n</tool_call>",
    .separator = "\n",
};
constexpr ToolFormat kLlama3 = {
    .name = "llama3",
    .syntax = Syntax::bare_json,
    .trigger = "",
    .after_content = "",
    .block_open = "",
    .block_close = "",
    .call_open = "{\"name\": \"",
    .arguments_open = "\", \"parameters\": ",
    .call_close = "}",
    .separator = "; ",
};
constexpr ToolFormat kGeneric = [] {
  ToolFormat format = kHermes;
  format.name = "generic";
  format.syntax = Syntax::any_json;
  return format;
}();
constexpr std::array<const ToolFormat*, 5> kFormats = {&kDeepSeekV3, &kDeepSeekV31, &kHermes,
                                                       &kLlama3, &kGeneric};

bool has(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

const ToolFormat& by_template(std::string_view source) {
  if (has(source, kDeepSeekV3.trigger)) {
    return has(source, "```json") ? kDeepSeekV3 : kDeepSeekV31;
  }
  // Qwen3-Coder and GLM put no JSON between these markers.
  if (has(source, "<tool_call>") && !has(source, "<function=") && !has(source, "<arg_key>")) {
    return kHermes;
  }
  // Llama's own write calls as objects of "parameters", and results as "ipython" says them.
  if (has(source, "<|python_tag|>") ||
      (has(source, "\"parameters\": ") && has(source, "ipython"))) {
    return kLlama3;
  }
  return kGeneric;
}

const ToolFormat& by_tokens(const Tokenizer& tokenizer) {
  const auto known = [&](std::string_view text) {
    for (const AddedToken& token : tokenizer.added_tokens()) {
      if (token.content == text) return true;
    }
    return false;
  };
  if (known(kDeepSeekV3.trigger)) return kDeepSeekV3;
  if (known(kHermes.trigger)) return kHermes;
  return known("<|python_tag|>") ? kLlama3 : kGeneric;
}

}  // namespace

std::string ToolFormat::written(const std::vector<ToolCall>& calls) const {
  if (calls.empty()) return "";
  std::string text(block_open);
  for (std::size_t i = 0; i < calls.size(); ++i) {
    if (i > 0) text += separator;
    text += fmt::format("{}{}{}{}{}", call_open, calls[i].name, arguments_open, calls[i].arguments,
                        call_close);
  }
  return text += block_close;
}

const std::vector<std::string>& tool_format_names() {
  static const std::vector<std::string> kNames = [] {
    std::vector<std::string> names;
    for (const ToolFormat* format : kFormats) names.emplace_back(format->name);
    return names;
  }();
  return kNames;
}

const ToolFormat& tool_format_named(std::string_view name) {
  std::string known;
  for (const ToolFormat* format : kFormats) {
    if (format->name == name) return *format;
    known += fmt::format("{}{}", known.empty() ? "" : ", ", format->name);
  }
  fail(ErrorKind::usage, "unknown tool format '{}'; there are {}", name.substr(0, 60), known);
}

const ToolFormat& choose_tool_format(const ToolFormatClues& clues) {
  if (clues.chat_format == "deepseek-v3.1") return kDeepSeekV31;
  if (clues.chat_format == "deepseek-v2.5" || clues.chat_format == "deepseek-v3" ||
      clues.chat_format == "deepseek-r1") {
    return kDeepSeekV3;
  }
  const ToolFormat& told = by_template(clues.template_source);
  if (&told != &kGeneric || clues.tokenizer == nullptr) return told;
  return by_tokens(*clues.tokenizer);
}

bool marks_by_special_token(const ToolFormat& format, const Tokenizer& tokenizer) {
  const std::string texts =
      fmt::format("{}{}{}{}{}{}{}", format.block_open, format.block_close, format.call_open,
                  format.arguments_open, format.call_close, format.separator,
                  format.syntax == ToolFormat::Syntax::bare_json ? "<|python_tag|>" : "");
  for (const AddedToken& token : tokenizer.added_tokens()) {
    if (token.special && !token.content.empty() && has(texts, token.content)) return true;
  }
  return false;
}

}  // namespace nautile
