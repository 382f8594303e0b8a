// jinja_strings.cpp — str's methods over text with provenance.
#include "text/jinja_strings.h"

#include <algorithm>

#include "text/jinja_format.h"
#include "text/jinja_string_tables.h"
#include "text/jinja_text_tools.h"

namespace nautile::jinja {
namespace {

Value method_replace(Machine& machine, const Value& self, const Arguments& arguments) {
  if (!arguments.named.empty()) machine.fail("replace() takes no named arguments");
  const Bound bound(machine, "replace", arguments, {"old", "new", "count"}, 2);
  return string_like(
      machine, self,
      replace(machine, self.text(), bound.text(0), bound.text(1), bound.integer(2, -1)));
}

Value method_upper(Machine& machine, const Value& self, const Arguments& arguments) {
  const Bound none(machine, "upper", arguments, {}, 0);
  return string_like(machine, self, upper(machine, self.text()));
}

Value method_lower(Machine& machine, const Value& self, const Arguments& arguments) {
  const Bound none(machine, "lower", arguments, {}, 0);
  return string_like(machine, self, lower(machine, self.text()));
}

Value method_capitalize(Machine& machine, const Value& self, const Arguments& arguments) {
  const Bound none(machine, "capitalize", arguments, {}, 0);
  return string_like(machine, self, capitalize(machine, self.text()));
}

Value method_title(Machine& machine, const Value& self, const Arguments& arguments) {
  const Bound none(machine, "title", arguments, {}, 0);
  const Text& text = self.text();
  bool in_word = false;
  return string_like(
      machine, self,
      map_chars(machine, text, [&](std::string& out, std::uint32_t code, std::size_t at) {
        if (in_word) {
          append_lower_at(out, text.view(), code, at);
        } else {
          append_title(out, code);
        }
        in_word = is_cased(code);
      }));
}

Value swapcase(Machine& machine, const Value& self, const Arguments& arguments) {
  const Bound none(machine, "swapcase", arguments, {}, 0);
  const Text& text = self.text();
  return string_like(
      machine, self,
      map_chars(machine, text, [&](std::string& out, std::uint32_t code, std::size_t at) {
        if (is_upper(code)) {
          append_lower_at(out, text.view(), code, at);
        } else if (is_lower(code)) {
          append_upper(out, code);
        } else {
          append_utf8(out, code);
        }
      }));
}

// The part of a string that find, count, startswith … look at: [start:end] in characters.
struct Window {
  std::size_t begin = 0;  // bytes
  std::size_t end = 0;
  bool valid = true;  // start is not past the end of the string
};

Window window(Machine& machine, const StringObject& string, const Bound& bound) {
  const auto size = static_cast<std::int64_t>(string.chars);
  const auto position = [&](std::size_t i, std::int64_t absent) {
    if (!bound.has(i) || bound[i].is(Kind::none)) return absent;
    const std::int64_t at = bound.integer(i, absent);
    return at < 0 ? std::max<std::int64_t>(at + size, 0) : at;
  };
  const std::int64_t start = position(1, 0);
  const std::int64_t stop = std::min(position(2, size), size);
  machine.scan(string.text.size());
  if (start > stop) return {0, 0, false};
  if (string.ascii())
    return {static_cast<std::size_t>(start), static_cast<std::size_t>(stop), true};
  return {byte_of_char(string.text.view(), static_cast<std::size_t>(start)),
          byte_of_char(string.text.view(), static_cast<std::size_t>(stop)), true};
}

std::int64_t char_index(const StringObject& string, std::size_t byte) {
  if (string.ascii()) return static_cast<std::int64_t>(byte);
  return static_cast<std::int64_t>(count_chars(string.text.view().substr(0, byte)));
}

enum class From { left, right };

std::int64_t search(Machine& machine, const Value& self, const Arguments& arguments, From from) {
  const Bound bound(machine, "find", arguments, {"sub", "start", "end"}, 1);
  const StringObject& string = self.string();
  const std::string_view needle = bound.text(0).view();
  const Window range = window(machine, string, bound);
  if (!range.valid) return -1;
  const std::string_view text = string.text.view().substr(0, range.end);
  std::size_t at = 0;
  if (from == From::left) {
    at = find_bytes(text, needle, range.begin);
  } else {
    at = rfind_bytes(machine, text, needle, range.end);
    if (at != std::string::npos && at < range.begin) at = std::string::npos;
  }
  return at == std::string::npos ? -1 : char_index(string, at);
}

Value find(Machine& machine, const Value& self, const Arguments& arguments) {
  return Value::of(search(machine, self, arguments, From::left));
}
Value rfind(Machine& machine, const Value& self, const Arguments& arguments) {
  return Value::of(search(machine, self, arguments, From::right));
}
Value index(Machine& machine, const Value& self, const Arguments& arguments) {
  const std::int64_t at = search(machine, self, arguments, From::left);
  if (at < 0) machine.fail("substring not found");
  return Value::of(at);
}
Value rindex(Machine& machine, const Value& self, const Arguments& arguments) {
  const std::int64_t at = search(machine, self, arguments, From::right);
  if (at < 0) machine.fail("substring not found");
  return Value::of(at);
}

Value count(Machine& machine, const Value& self, const Arguments& arguments) {
  const Bound bound(machine, "count", arguments, {"sub", "start", "end"}, 1);
  const StringObject& string = self.string();
  const std::string_view needle = bound.text(0).view();
  const Window range = window(machine, string, bound);
  if (!range.valid) return Value::of(std::int64_t{0});
  const std::string_view text = string.text.view().substr(range.begin, range.end - range.begin);
  if (needle.empty()) return Value::of(count_chars(text) + 1);
  std::int64_t found = 0;
  for (std::size_t at = find_bytes(text, needle, 0); at != std::string::npos;
       at = find_bytes(text, needle, at + needle.size())) {
    machine.step();
    ++found;
  }
  return Value::of(found);
}

enum class Side { start, end };

Value affix(Machine& machine, const Value& self, const Arguments& arguments, Side side) {
  const char* name = side == Side::start ? "startswith" : "endswith";
  if (!arguments.named.empty()) machine.fail("{}() takes no named arguments", name);
  const Bound bound(machine, name, arguments, {"prefix", "start", "end"}, 1);
  const Window range = window(machine, self.string(), bound);
  const auto matches = [&](const Value& candidate) {
    if (!candidate.is(Kind::string)) {
      machine.fail("{}() expects strings, found '{}'", name, type_name(candidate));
    }
    if (!range.valid) return false;
    const std::string_view text = self.text().view().substr(range.begin, range.end - range.begin);
    const std::string_view word = candidate.text().view();
    machine.scan(word.size());
    return side == Side::start ? text.starts_with(word) : text.ends_with(word);
  };
  if (!bound[0].is(Kind::tuple)) return Value::of(matches(bound[0]));
  for (const Value& candidate : bound[0].sequence().items) {
    machine.step();
    if (matches(candidate)) return Value::of(true);
  }
  return Value::of(false);
}

Value startswith(Machine& m, const Value& s, const Arguments& a) {
  return affix(m, s, a, Side::start);
}
Value endswith(Machine& m, const Value& s, const Arguments& a) {
  return affix(m, s, a, Side::end);
}

Value method_join(Machine& machine, const Value& self, const Arguments& arguments) {
  const Bound bound(machine, "join", arguments, {"iterable"}, 1);
  return string_like(machine, self, join(machine, self.text(), to_items(machine, bound[0])));
}

Value format(Machine& machine, const Value& self, const Arguments& arguments) {
  return brace_format(machine, self, arguments);
}

Value format_map(Machine& machine, const Value& self, const Arguments& arguments) {
  const Bound bound(machine, "format_map", arguments, {"mapping"}, 1);
  if (!bound[0].is(Kind::dict)) machine.fail("format_map() expects a mapping");
  Arguments named;
  for (const auto& [key, value] : bound[0].dict().entries) {
    if (key.is(Kind::string)) named.named.emplace_back(key.text().bytes(), value);
  }
  return brace_format(machine, self, named);
}

const Text& fill_of(Machine& machine, const Bound& bound) {
  static const Text space(" ");
  if (!bound.has(1)) return space;
  if (count_chars(bound.text(1).view()) != 1) machine.fail("fill must be one character");
  return bound.text(1);
}

std::int64_t missing_width(const Value& self, const Bound& bound) {
  const std::int64_t width = std::min(bound.integer(0, 0), std::int64_t{1} << 40);
  return width - static_cast<std::int64_t>(self.string().chars);
}

Value ljust(Machine& machine, const Value& self, const Arguments& arguments) {
  const Bound bound(machine, "ljust", arguments, {"width", "fillchar"}, 1);
  return string_like(
      machine, self,
      pad(machine, self.text(), 0, missing_width(self, bound), fill_of(machine, bound)));
}

Value rjust(Machine& machine, const Value& self, const Arguments& arguments) {
  const Bound bound(machine, "rjust", arguments, {"width", "fillchar"}, 1);
  return string_like(
      machine, self,
      pad(machine, self.text(), missing_width(self, bound), 0, fill_of(machine, bound)));
}

Value method_center(Machine& machine, const Value& self, const Arguments& arguments) {
  const Bound bound(machine, "center", arguments, {"width", "fillchar"}, 1);
  const std::int64_t missing = missing_width(self, bound);
  if (missing <= 0) return self;
  const std::int64_t left = missing / 2 + (missing & bound.integer(0, 0) & 1);
  return string_like(machine, self,
                     pad(machine, self.text(), left, missing - left, fill_of(machine, bound)));
}

Value zfill(Machine& machine, const Value& self, const Arguments& arguments) {
  const Bound bound(machine, "zfill", arguments, {"width"}, 1);
  const Text& text = self.text();
  const bool sign = text.view().starts_with('-') || text.view().starts_with('+');
  const std::size_t cut = sign ? 1 : 0;
  Text out = text.slice(0, cut);
  out.append(pad(machine, text.slice(cut, text.size()), missing_width(self, bound), 0, Text("0")));
  return string_like(machine, self, std::move(out));
}

}  // namespace

const StringTable& changing_methods() {
  static const StringTable kMethods = {
      {"replace", method_replace},
      {"upper", method_upper},
      {"lower", method_lower},
      {"capitalize", method_capitalize},
      {"title", method_title},
      {"swapcase", swapcase},
      {"find", find},
      {"rfind", rfind},
      {"index", index},
      {"rindex", rindex},
      {"count", count},
      {"startswith", startswith},
      {"endswith", endswith},
      {"join", method_join},
      {"format", format},
      {"format_map", format_map},
      {"ljust", ljust},
      {"rjust", rjust},
      {"center", method_center},
      {"zfill", zfill},
  };
  return kMethods;
}

StringMethod string_method(const std::string& name) {
  for (const StringTable* table : {&cutting_methods(), &asking_methods(), &changing_methods()}) {
    const auto it = table->find(name);
    if (it != table->end()) return it->second;
  }
  return nullptr;
}

bool is_unsupported_string_method(const std::string& name) {
  for (const char* method : {"casefold", "encode", "expandtabs", "maketrans", "translate"}) {
    if (name == method) return true;
  }
  return false;
}

}  // namespace nautile::jinja
