#include "app/input.h"

#include <algorithm>
#include <utility>

#include "text/unicode.h"

namespace nautile::app {
namespace {

constexpr std::string_view kQuotes = "\"\"\"";
constexpr std::string_view kSpaces = " \t\r\n\f\v";

bool is_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

}  // namespace

std::string trimmed(std::string_view text) {
  const std::size_t begin = text.find_first_not_of(kSpaces);
  if (begin == text.npos) return "";
  return std::string(text.substr(begin, text.find_last_not_of(kSpaces) - begin + 1));
}

std::optional<std::string> InputAssembler::feed_quoted(std::string_view line) {
  const std::string_view end = line.substr(0, line.find_last_not_of(kSpaces) + 1);
  if (!end.ends_with(kQuotes)) {
    text_ += line;
    text_ += '\n';
    return std::nullopt;
  }
  text_ += end.substr(0, end.size() - kQuotes.size());
  if (text_.ends_with('\n')) text_.pop_back();  // the closing quotes had a line of their own
  state_ = State::fresh;
  return std::exchange(text_, {});
}

std::optional<std::string> InputAssembler::feed(std::string_view line) {
  if (state_ == State::quoted) return feed_quoted(line);
  if (state_ == State::fresh && line.starts_with(kQuotes)) {
    state_ = State::quoted;
    line.remove_prefix(kQuotes.size());
    if (line.empty()) return std::nullopt;
    return feed_quoted(line);
  }
  if (line.ends_with('\\')) {
    state_ = State::continued;
    text_ += line.substr(0, line.size() - 1);
    text_ += '\n';
    return std::nullopt;
  }
  text_ += line;
  state_ = State::fresh;
  return std::exchange(text_, {});
}

void InputAssembler::clear() {
  state_ = State::fresh;
  text_.clear();
}

std::optional<Command> parse_command(std::string_view input) {
  if (input.size() < 2 || input.front() != '/') return std::nullopt;
  input.remove_prefix(1);
  const std::size_t end = std::min(input.find_first_of(kSpaces), input.size());
  const std::string_view name = input.substr(0, end);
  if (name.empty()) return std::nullopt;
  if (name != "?" && !std::all_of(name.begin(), name.end(), is_letter)) return std::nullopt;
  return Command{std::string(name), trimmed(input.substr(end))};
}

std::string escape_line(std::string_view text) {
  std::string line;
  for (const char c : text) {
    if (c == '\n') {
      line += "\\n";
    } else if (c == '\\') {
      line += "\\\\";
    } else {
      line += c;
    }
  }
  return line;
}

std::string unescape_line(std::string_view line) {
  std::string text;
  for (std::size_t i = 0; i < line.size(); ++i) {
    if (line[i] == '\\' && i + 1 < line.size()) {
      ++i;
      text += line[i] == 'n' ? '\n' : line[i];
    } else {
      text += line[i];
    }
  }
  return text;
}

std::wstring wide_text(std::string_view text) {
  const std::string valid = replace_invalid_utf8(text);
  std::wstring wide;
  for (std::size_t at = 0; at < valid.size();) {
    const Rune rune = decode_rune(valid.data() + at);
    wide += static_cast<wchar_t>(rune.code);
    at += static_cast<std::size_t>(rune.length);
  }
  return wide;
}

std::string utf8_text(std::wstring_view text) {
  std::string out;
  for (const wchar_t c : text) {
    const auto code = static_cast<char32_t>(c);
    const bool scalar = code < 0xD800 || (code > 0xDFFF && code < 0x110000);
    append_utf8(out, scalar ? code : U'\uFFFD');
  }
  return out;
}

}  // namespace nautile::app
