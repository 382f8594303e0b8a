// jinja_strings.cpp — str's methods over text with provenance.
#include "text/jinja_strings.h"

#include <algorithm>
#include <limits>
#include <map>

#include "text/jinja_format.h"
#include "text/jinja_text_tools.h"

namespace nautile::jinja {
namespace {

Value make(Machine& machine, const Value& self, Text text) {
  return machine.string(std::move(text), self.string().markup);
}

Value method_strip(Machine& machine, const Value& self, const Arguments& arguments, Strip ends) {
  const Bound bound(machine, "strip", arguments, {"chars"}, 0);
  if (!arguments.named.empty()) machine.fail("strip() takes no named arguments");
  return make(machine, self, strip(machine, self.text(), ends, bound.get(0, Value::none())));
}
Value strip_both(Machine& m, const Value& s, const Arguments& a) {
  return method_strip(m, s, a, Strip::both);
}
Value strip_left(Machine& m, const Value& s, const Arguments& a) {
  return method_strip(m, s, a, Strip::left);
}
Value strip_right(Machine& m, const Value& s, const Arguments& a) {
  return method_strip(m, s, a, Strip::right);
}

// split() without a separator: runs of white space, at most `limit` cuts.
void split_space(Machine& machine, const Value& self, std::uint64_t limit,
                 std::vector<Value>& parts) {
  const Text& text = self.text();
  std::size_t at = 0;
  const auto skip = [&](bool space) {
    while (at < text.size()) {
      const CodePoint c = code_point(text.view(), at);
      if (is_space(c.code) != space) break;
      at += c.bytes;
    }
  };
  for (skip(true); at < text.size(); skip(true)) {
    const std::size_t begin = at;
    if (parts.size() >= limit) {
      parts.push_back(make(machine, self, text.slice(begin, text.size())));
      return;
    }
    skip(false);
    parts.push_back(make(machine, self, text.slice(begin, at)));
  }
}

void rsplit_space(Machine& machine, const Value& self, std::uint64_t limit,
                  std::vector<Value>& parts) {
  const Text& text = self.text();
  std::size_t end = text.size();
  const auto skip = [&](bool space) {
    while (end > 0) {
      const std::size_t start = char_before(text.view(), end);
      if (is_space(code_point(text.view(), start).code) != space) break;
      end = start;
    }
  };
  for (skip(true); end > 0; skip(true)) {
    const std::size_t stop = end;
    if (parts.size() >= limit) {
      parts.push_back(make(machine, self, text.slice(0, stop)));
      break;
    }
    skip(false);
    parts.push_back(make(machine, self, text.slice(end, stop)));
  }
  std::reverse(parts.begin(), parts.end());
}

std::uint64_t split_limit(const Bound& bound) {
  const std::int64_t limit = bound.integer(1, -1);
  return limit < 0 ? std::numeric_limits<std::uint64_t>::max() : static_cast<std::uint64_t>(limit);
}

const Text& separator_of(Machine& machine, const Bound& bound) {
  const Text& separator = bound.text(0);
  if (separator.empty()) machine.fail("empty separator");
  return separator;
}

Value split(Machine& machine, const Value& self, const Arguments& arguments) {
  const Bound bound(machine, "split", arguments, {"sep", "maxsplit"}, 0);
  std::uint64_t limit = split_limit(bound);
  const Text& text = self.text();
  machine.scan(text.size());
  std::vector<Value> parts;
  if (bound.get(0, Value::none()).is(Kind::none)) {
    split_space(machine, self, limit, parts);
    return machine.list(std::move(parts));
  }
  const Text& separator = separator_of(machine, bound);
  std::size_t at = 0;
  for (; limit > 0; --limit) {
    const std::size_t found = find_bytes(text.view(), separator.view(), at);
    if (found == std::string::npos) break;
    machine.step();
    parts.push_back(make(machine, self, text.slice(at, found)));
    at = found + separator.size();
  }
  parts.push_back(make(machine, self, text.slice(at, text.size())));
  return machine.list(std::move(parts));
}

Value rsplit(Machine& machine, const Value& self, const Arguments& arguments) {
  const Bound bound(machine, "rsplit", arguments, {"sep", "maxsplit"}, 0);
  std::uint64_t limit = split_limit(bound);
  const Text& text = self.text();
  machine.scan(text.size());
  std::vector<Value> parts;
  if (bound.get(0, Value::none()).is(Kind::none)) {
    rsplit_space(machine, self, limit, parts);
    return machine.list(std::move(parts));
  }
  const Text& separator = separator_of(machine, bound);
  std::size_t end = text.size();
  for (; limit > 0; --limit) {
    machine.step();
    machine.scan(end);
    const std::size_t found = rfind_bytes(machine, text.view(), separator.view(), end);
    if (found == std::string::npos) break;
    parts.push_back(make(machine, self, text.slice(found + separator.size(), end)));
    end = found;
  }
  parts.push_back(make(machine, self, text.slice(0, end)));
  std::reverse(parts.begin(), parts.end());
  return machine.list(std::move(parts));
}

Value splitlines(Machine& machine, const Value& self, const Arguments& arguments) {
  const Bound bound(machine, "splitlines", arguments, {"keepends"}, 0);
  const Text& text = self.text();
  std::vector<Value> parts;
  std::size_t begin = 0;
  for (const Text& line : split_lines(machine, text)) {
    std::size_t end = begin + line.size();
    if (end < text.size()) {
      const CodePoint c = code_point(text.view(), end);
      end += c.bytes;
      if (c.code == '\r' && end < text.size() && text.bytes()[end] == '\n') ++end;
    }
    parts.push_back(make(machine, self, bound.flag(0) ? text.slice(begin, end) : line));
    begin = end;
  }
  return machine.list(std::move(parts));
}

Value partition(Machine& machine, const Value& self, const Arguments& arguments) {
  const Bound bound(machine, "partition", arguments, {"sep"}, 1);
  const Text& separator = separator_of(machine, bound);
  const Text& text = self.text();
  machine.scan(text.size());
  const std::size_t found = find_bytes(text.view(), separator.view(), 0);
  if (found == std::string::npos) {
    return machine.tuple({self, make(machine, self, Text()), make(machine, self, Text())});
  }
  const std::size_t after = found + separator.size();
  return machine.tuple({make(machine, self, text.slice(0, found)),
                        make(machine, self, text.slice(found, after)),
                        make(machine, self, text.slice(after, text.size()))});
}

Value rpartition(Machine& machine, const Value& self, const Arguments& arguments) {
  const Bound bound(machine, "rpartition", arguments, {"sep"}, 1);
  const Text& separator = separator_of(machine, bound);
  const Text& text = self.text();
  machine.scan(text.size());
  const std::size_t found = rfind_bytes(machine, text.view(), separator.view(), text.size());
  if (found == std::string::npos) {
    return machine.tuple({make(machine, self, Text()), make(machine, self, Text()), self});
  }
  const std::size_t after = found + separator.size();
  return machine.tuple({make(machine, self, text.slice(0, found)),
                        make(machine, self, text.slice(found, after)),
                        make(machine, self, text.slice(after, text.size()))});
}

Value method_replace(Machine& machine, const Value& self, const Arguments& arguments) {
  if (!arguments.named.empty()) machine.fail("replace() takes no named arguments");
  const Bound bound(machine, "replace", arguments, {"old", "new", "count"}, 2);
  return make(machine, self,
              replace(machine, self.text(), bound.text(0), bound.text(1), bound.integer(2, -1)));
}

Value method_upper(Machine& machine, const Value& self, const Arguments& arguments) {
  const Bound none(machine, "upper", arguments, {}, 0);
  return make(machine, self, upper(machine, self.text()));
}

Value method_lower(Machine& machine, const Value& self, const Arguments& arguments) {
  const Bound none(machine, "lower", arguments, {}, 0);
  return make(machine, self, lower(machine, self.text()));
}

Value method_capitalize(Machine& machine, const Value& self, const Arguments& arguments) {
  const Bound none(machine, "capitalize", arguments, {}, 0);
  return make(machine, self, capitalize(machine, self.text()));
}

Value method_title(Machine& machine, const Value& self, const Arguments& arguments) {
  const Bound none(machine, "title", arguments, {}, 0);
  const Text& text = self.text();
  bool in_word = false;
  return make(machine, self,
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
  return make(machine, self,
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

Value removeprefix(Machine& machine, const Value& self, const Arguments& arguments) {
  const Bound bound(machine, "removeprefix", arguments, {"prefix"}, 1);
  const Text& text = self.text();
  const std::size_t cut = text.view().starts_with(bound.text(0).view()) ? bound.text(0).size() : 0;
  return make(machine, self, text.slice(cut, text.size()));
}

Value removesuffix(Machine& machine, const Value& self, const Arguments& arguments) {
  const Bound bound(machine, "removesuffix", arguments, {"suffix"}, 1);
  const Text& text = self.text();
  const std::size_t cut = text.view().ends_with(bound.text(0).view()) ? bound.text(0).size() : 0;
  return make(machine, self, text.slice(0, text.size() - cut));
}

Value method_join(Machine& machine, const Value& self, const Arguments& arguments) {
  const Bound bound(machine, "join", arguments, {"iterable"}, 1);
  return make(machine, self, join(machine, self.text(), to_items(machine, bound[0])));
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
  return make(machine, self,
              pad(machine, self.text(), 0, missing_width(self, bound), fill_of(machine, bound)));
}

Value rjust(Machine& machine, const Value& self, const Arguments& arguments) {
  const Bound bound(machine, "rjust", arguments, {"width", "fillchar"}, 1);
  return make(machine, self,
              pad(machine, self.text(), missing_width(self, bound), 0, fill_of(machine, bound)));
}

Value method_center(Machine& machine, const Value& self, const Arguments& arguments) {
  const Bound bound(machine, "center", arguments, {"width", "fillchar"}, 1);
  const std::int64_t missing = missing_width(self, bound);
  if (missing <= 0) return self;
  const std::int64_t left = missing / 2 + (missing & bound.integer(0, 0) & 1);
  return make(machine, self,
              pad(machine, self.text(), left, missing - left, fill_of(machine, bound)));
}

Value zfill(Machine& machine, const Value& self, const Arguments& arguments) {
  const Bound bound(machine, "zfill", arguments, {"width"}, 1);
  const Text& text = self.text();
  const bool sign = text.view().starts_with('-') || text.view().starts_with('+');
  const std::size_t cut = sign ? 1 : 0;
  Text out = text.slice(0, cut);
  out.append(pad(machine, text.slice(cut, text.size()), missing_width(self, bound), 0, Text("0")));
  return make(machine, self, std::move(out));
}

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

StringMethod string_method(const std::string& name) {
  static const std::map<std::string, StringMethod, std::less<>> kMethods = {
      {"strip", strip_both},
      {"lstrip", strip_left},
      {"rstrip", strip_right},
      {"split", split},
      {"rsplit", rsplit},
      {"splitlines", splitlines},
      {"partition", partition},
      {"rpartition", rpartition},
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
      {"removeprefix", removeprefix},
      {"removesuffix", removesuffix},
      {"join", method_join},
      {"format", format},
      {"format_map", format_map},
      {"ljust", ljust},
      {"rjust", rjust},
      {"center", method_center},
      {"zfill", zfill},
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
  const auto it = kMethods.find(name);
  return it == kMethods.end() ? nullptr : it->second;
}

bool is_unsupported_string_method(const std::string& name) {
  for (const char* method : {"casefold", "encode", "expandtabs", "maketrans", "translate"}) {
    if (name == method) return true;
  }
  return false;
}

}  // namespace nautile::jinja
