#include "text/tool_object.h"

#include <nlohmann/json.hpp>
#include <optional>

namespace nautile {
namespace {

constexpr std::size_t kMaxName = 256;

// A JSON string with its quotes; nothing if it is no text (half a surrogate pair).
std::optional<std::string> decoded(const std::string& quoted) {
  const auto json = nlohmann::json::parse(quoted, nullptr, false);
  if (!json.is_string()) return std::nullopt;
  return json.get<std::string>();
}

bool is_object(std::string_view text) {
  JsonScanner scanner;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (i == 0 && text[i] != '{') return false;
    const auto told = scanner.take(text[i]);
    if (told != JsonScanner::Told::more) {
      return told == JsonScanner::Told::done && i + 1 == text.size();
    }
  }
  return false;
}

}  // namespace

void ToolObject::key_ended() {
  const std::string key = decoded(key_ + '"').value_or("");
  key_.clear();
  member_ = Member::other;
  if (key == "name" && name_.empty()) member_ = Member::name;
  if ((key == "arguments" || key == "parameters") && arguments_ == Arguments::none) {
    member_ = Member::arguments;
  }
  if (member_ == Member::other && key != "type" && key != "id") foreign_ = true;
}

bool ToolObject::begin_value(char c) {
  if (member_ == Member::other) return true;
  if (c == '"') {
    reading_ = Reading::string;
    value_ = c;
    return true;
  }
  if (member_ == Member::name) return false;
  if (c == '{') {
    reading_ = Reading::object;
    arguments_ = Arguments::open;
    bytes_ = c;
  }
  return c == '{' || c == 'n';
}

bool ToolObject::string_ended() {
  reading_ = Reading::nothing;
  auto text = decoded(value_);
  if (!text) return false;
  if (member_ == Member::name) {
    name_ = std::move(*text);
    return !name_.empty() && name_.size() <= kMaxName;
  }
  if (!is_object(*text)) return false;
  bytes_ = std::move(*text);
  arguments_ = Arguments::whole;
  return true;
}

ToolObject::Told ToolObject::take(char c) {
  const bool at_value = scanner_.depth() == 1 && scanner_.awaits_value();
  const JsonScanner::Told told = scanner_.take(c);
  if (told == JsonScanner::Told::bad) return Told::bad;
  if (told == JsonScanner::Told::done) return Told::done;
  if (reading_ == Reading::object) {
    bytes_ += c;
    if (scanner_.depth() == 1) {
      reading_ = Reading::nothing;
      arguments_ = Arguments::whole;
    }
  } else if (reading_ == Reading::string) {
    value_ += c;
    if (!scanner_.in_string() && !string_ended()) return Told::unfit;
  } else if (at_value && !scanner_.awaits_value()) {
    if (!begin_value(c)) return Told::unfit;
  } else if (scanner_.depth() == 1 && scanner_.in_key()) {
    key_ += c;
  } else if (scanner_.depth() == 1 && scanner_.awaits_colon() && !key_.empty()) {
    key_ended();
  }
  return Told::more;
}

}  // namespace nautile
