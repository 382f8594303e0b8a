// jinja_lexer.h — cuts template source into tokens, with white-space control already applied.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace nautile::jinja {

enum class TokenType : std::uint8_t {
  data,         // text between tags
  print_begin,  // {{
  print_end,    // }}
  tag_begin,    // {%
  tag_end,      // %}
  name,
  string,  // text holds the value, escapes resolved
  integer,
  real,
  op,  // text holds the operator
  end,
};

struct Token {
  TokenType type = TokenType::end;
  int line = 0;
  std::string text;
  std::int64_t integer = 0;
  double real = 0;

  bool is_op(std::string_view symbol) const { return type == TokenType::op && text == symbol; }
  bool is_name(std::string_view word) const { return type == TokenType::name && text == word; }
};

// The tokens of a template, ending with one of type `end`. Rules are those of jinja2 with
// trim_blocks and lstrip_blocks on and keep_trailing_newline off (as Hugging Face runs templates).
// Throws Error(bad_input) with the line: malformed UTF-8, unclosed tags, unknown characters.
std::vector<Token> lex(std::string_view source);

}  // namespace nautile::jinja
