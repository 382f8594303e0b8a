// jinja_string_cuts.cpp — str's methods that cut: strip, split, partition and their kin.
#include <algorithm>
#include <limits>

#include "text/jinja_string_tables.h"
#include "text/jinja_text_tools.h"

namespace nautile::jinja {
namespace {

Value method_strip(Machine& machine, const Value& self, const Arguments& arguments, Strip ends) {
  const Bound bound(machine, "strip", arguments, {"chars"}, 0);
  if (!arguments.named.empty()) machine.fail("strip() takes no named arguments");
  return string_like(machine, self, strip(machine, self.text(), ends, bound.get(0, Value::none())));
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
      parts.push_back(string_like(machine, self, text.slice(begin, text.size())));
      return;
    }
    skip(false);
    parts.push_back(string_like(machine, self, text.slice(begin, at)));
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
      parts.push_back(string_like(machine, self, text.slice(0, stop)));
      break;
    }
    skip(false);
    parts.push_back(string_like(machine, self, text.slice(end, stop)));
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
    parts.push_back(string_like(machine, self, text.slice(at, found)));
    at = found + separator.size();
  }
  parts.push_back(string_like(machine, self, text.slice(at, text.size())));
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
    parts.push_back(string_like(machine, self, text.slice(found + separator.size(), end)));
    end = found;
  }
  parts.push_back(string_like(machine, self, text.slice(0, end)));
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
    parts.push_back(string_like(machine, self, bound.flag(0) ? text.slice(begin, end) : line));
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
    return machine.tuple(
        {self, string_like(machine, self, Text()), string_like(machine, self, Text())});
  }
  const std::size_t after = found + separator.size();
  return machine.tuple({string_like(machine, self, text.slice(0, found)),
                        string_like(machine, self, text.slice(found, after)),
                        string_like(machine, self, text.slice(after, text.size()))});
}

Value rpartition(Machine& machine, const Value& self, const Arguments& arguments) {
  const Bound bound(machine, "rpartition", arguments, {"sep"}, 1);
  const Text& separator = separator_of(machine, bound);
  const Text& text = self.text();
  machine.scan(text.size());
  const std::size_t found = rfind_bytes(machine, text.view(), separator.view(), text.size());
  if (found == std::string::npos) {
    return machine.tuple(
        {string_like(machine, self, Text()), string_like(machine, self, Text()), self});
  }
  const std::size_t after = found + separator.size();
  return machine.tuple({string_like(machine, self, text.slice(0, found)),
                        string_like(machine, self, text.slice(found, after)),
                        string_like(machine, self, text.slice(after, text.size()))});
}

Value removeprefix(Machine& machine, const Value& self, const Arguments& arguments) {
  const Bound bound(machine, "removeprefix", arguments, {"prefix"}, 1);
  const Text& text = self.text();
  const std::size_t cut = text.view().starts_with(bound.text(0).view()) ? bound.text(0).size() : 0;
  return string_like(machine, self, text.slice(cut, text.size()));
}

Value removesuffix(Machine& machine, const Value& self, const Arguments& arguments) {
  const Bound bound(machine, "removesuffix", arguments, {"suffix"}, 1);
  const Text& text = self.text();
  const std::size_t cut = text.view().ends_with(bound.text(0).view()) ? bound.text(0).size() : 0;
  return string_like(machine, self, text.slice(0, text.size() - cut));
}

}  // namespace

const StringTable& cutting_methods() {
  static const StringTable kMethods = {
      {"strip", strip_both},
      {"lstrip", strip_left},
      {"rstrip", strip_right},
      {"split", split},
      {"rsplit", rsplit},
      {"splitlines", splitlines},
      {"partition", partition},
      {"rpartition", rpartition},
      {"removeprefix", removeprefix},
      {"removesuffix", removesuffix},
  };
  return kMethods;
}

}  // namespace nautile::jinja
