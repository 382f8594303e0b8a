// jinja_string_questions.cpp — str's methods that ask of what kind the characters are.
#include "text/jinja_string_tables.h"
#include "text/jinja_text_tools.h"

namespace nautile::jinja {
namespace {

// str.isX: every character is, and there is one.
template <bool (*Is)(std::uint32_t)>
Value every(Machine& machine, const Value& self, const Arguments& arguments) {
  const Bound none(machine, "isx", arguments, {}, 0);
  const Text& text = self.text();
  machine.scan(text.size() * 4);
  for (std::size_t at = 0; at < text.size();) {
    const CodePoint c = code_point(text.view(), at);
    if (!Is(c.code)) return Value::of(false);
    at += c.bytes;
  }
  return Value::of(!text.empty());
}

bool is_ascii(std::uint32_t code) {
  return code < 0x80;
}

Value isascii(Machine& machine, const Value& self, const Arguments& arguments) {
  return self.text().empty() ? Value::of(true) : every<is_ascii>(machine, self, arguments);
}
Value isprintable(Machine& machine, const Value& self, const Arguments& arguments) {
  return self.text().empty() ? Value::of(true) : every<is_printable>(machine, self, arguments);
}

// str.isupper and islower: some cased character, and none of the other case.
template <bool (*Is)(std::uint32_t), bool (*Other)(std::uint32_t)>
Value cased(Machine& machine, const Value& self, const Arguments& arguments) {
  const Bound none(machine, "isx", arguments, {}, 0);
  const Text& text = self.text();
  machine.scan(text.size() * 4);
  bool found = false;
  for (std::size_t at = 0; at < text.size();) {
    const CodePoint c = code_point(text.view(), at);
    if (Other(c.code) || is_title(c.code)) return Value::of(false);
    found = found || Is(c.code);
    at += c.bytes;
  }
  return Value::of(found);
}

Value istitle(Machine& machine, const Value& self, const Arguments& arguments) {
  const Bound none(machine, "istitle", arguments, {}, 0);
  const Text& text = self.text();
  machine.scan(text.size() * 4);
  bool found = false;
  bool in_word = false;
  for (std::size_t at = 0; at < text.size();) {
    const CodePoint c = code_point(text.view(), at);
    const bool capital = is_upper(c.code) || is_title(c.code);
    if ((capital && in_word) || (is_lower(c.code) && !in_word)) return Value::of(false);
    in_word = is_cased(c.code);
    found = found || in_word;
    at += c.bytes;
  }
  return Value::of(found);
}

Value isidentifier(Machine& machine, const Value& self, const Arguments& arguments) {
  const Bound none(machine, "isidentifier", arguments, {}, 0);
  const Text& text = self.text();
  machine.scan(text.size() * 4);
  for (std::size_t at = 0; at < text.size();) {
    const CodePoint c = code_point(text.view(), at);
    if (!(at == 0 ? is_identifier_start(c.code) : is_identifier_part(c.code)))
      return Value::of(false);
    at += c.bytes;
  }
  return Value::of(!text.empty());
}

}  // namespace

const StringTable& asking_methods() {
  static const StringTable kMethods = {
      {"isspace", every<is_space>},
      {"isalpha", every<is_alpha>},
      {"isalnum", every<is_alnum>},
      {"isdigit", every<is_decimal>},
      {"isdecimal", every<is_decimal>},
      {"isnumeric", every<is_numeric>},
      {"isascii", isascii},
      {"isprintable", isprintable},
      {"isupper", cased<is_upper, is_lower>},
      {"islower", cased<is_lower, is_upper>},
      {"istitle", istitle},
      {"isidentifier", isidentifier},
  };
  return kMethods;
}

}  // namespace nautile::jinja
