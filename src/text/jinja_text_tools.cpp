// jinja_text_tools.cpp — searching, stripping, replacing and case mapping with provenance.
#include "text/jinja_text_tools.h"

#include <string.h>

#include <limits>

#include "text/jinja_chars.h"

namespace nautile::jinja {

std::size_t find_bytes(std::string_view haystack, std::string_view needle, std::size_t from) {
  if (from > haystack.size()) return std::string_view::npos;
  // memmem is linear in the worst case; std::string::find is not.
  const void* found =
      ::memmem(haystack.data() + from, haystack.size() - from, needle.data(), needle.size());
  if (found == nullptr) return std::string_view::npos;
  return static_cast<std::size_t>(static_cast<const char*>(found) - haystack.data());
}

std::size_t rfind_bytes(Machine& machine, std::string_view haystack, std::string_view needle,
                        std::size_t end) {
  if (needle.size() > end) return std::string_view::npos;
  if (needle.empty()) return end;
  // Searched backwards by reversing both: linear again.
  machine.charge(end + needle.size());
  const std::string text(haystack.rend() - static_cast<std::ptrdiff_t>(end), haystack.rend());
  const std::string word(needle.rbegin(), needle.rend());
  const std::size_t at = find_bytes(text, word, 0);
  return at == std::string::npos ? at : end - at - needle.size();
}

std::size_t char_before(std::string_view text, std::size_t end) {
  std::size_t start = end - 1;
  while (start > 0 && (static_cast<unsigned char>(text[start]) & 0xC0) == 0x80) --start;
  return start;
}

namespace {

// A capital sigma ends a word if a cased letter stands before it and none after it.
bool is_final_sigma(std::string_view text, std::size_t at) {
  std::size_t before = at;
  bool cased_before = false;
  while (before > 0) {
    before = char_before(text, before);
    const std::uint32_t code = code_point(text, before).code;
    if (is_case_ignorable(code)) continue;
    cased_before = is_cased(code);
    break;
  }
  if (!cased_before) return false;
  for (std::size_t after = at + code_point(text, at).bytes; after < text.size();) {
    const CodePoint c = code_point(text, after);
    if (!is_case_ignorable(c.code)) return !is_cased(c.code);
    after += c.bytes;
  }
  return true;
}

}  // namespace

void append_lower_at(std::string& out, std::string_view text, std::uint32_t code, std::size_t at) {
  if (code == 0x3A3) {
    append_utf8(out, is_final_sigma(text, at) ? 0x3C2 : 0x3C3);
  } else {
    append_lower(out, code);
  }
}

Text pad(Machine& machine, const Text& text, std::int64_t left, std::int64_t right,
         const Text& fill) {
  if (left < 0) left = 0;
  if (right < 0) right = 0;
  const auto budget = static_cast<std::int64_t>(machine.budgets().heap_bytes);
  machine.charge(static_cast<std::size_t>(std::min(left, budget) + std::min(right, budget)) *
                     fill.size() +
                 text.size());
  Text out;
  for (std::int64_t i = 0; i < left; ++i) out.append(fill);
  out.append(text);
  for (std::int64_t i = 0; i < right; ++i) out.append(fill);
  return out;
}

namespace {

// A set of characters to strip: a bitmap for ASCII, sorted code points beyond.
class CharSet {
 public:
  explicit CharSet(std::string_view text) {
    for (std::size_t at = 0; at < text.size();) {
      const CodePoint c = code_point(text, at);
      codes_.push_back(c.code);
      at += c.bytes;
    }
    std::sort(codes_.begin(), codes_.end());
  }
  bool has(std::uint32_t code) const {
    return std::binary_search(codes_.begin(), codes_.end(), code);
  }

 private:
  std::vector<std::uint32_t> codes_;
};

template <class Drop>
Text strip_if(const Text& text, Strip ends, const Drop& drop) {
  std::size_t begin = 0;
  std::size_t end = text.size();
  while (ends != Strip::right && begin < end) {
    const CodePoint c = code_point(text.view(), begin);
    if (!drop(c.code)) break;
    begin += c.bytes;
  }
  while (ends != Strip::left && end > begin) {
    const std::size_t start = char_before(text.view(), end);
    if (!drop(code_point(text.view(), start).code)) break;
    end = start;
  }
  return text.slice(begin, end);
}

}  // namespace

Text strip(Machine& machine, const Text& text, Strip ends, const Value& characters) {
  machine.scan(text.size());
  if (characters.is(Kind::none)) return strip_if(text, ends, is_space);
  if (!characters.is(Kind::string)) {
    machine.fail("strip argument must be none or a string, found '{}'", type_name(characters));
  }
  machine.scan(characters.text().size() * 16);
  const CharSet set(characters.text().view());
  return strip_if(text, ends, [&](std::uint32_t code) { return set.has(code); });
}

Text replace(Machine& machine, const Text& text, const Text& from, const Text& to,
             std::int64_t count) {
  machine.scan(text.size());
  auto left =
      count < 0 ? std::numeric_limits<std::uint64_t>::max() : static_cast<std::uint64_t>(count);
  Text out;
  const auto put = [&](const Text& what, std::size_t begin, std::size_t end) {
    machine.charge(end - begin);
    out.append(what, begin, end);
  };
  std::size_t at = 0;
  if (from.empty()) {
    // Before every character and at the end.
    while (left > 0) {
      --left;
      machine.step();
      put(to, 0, to.size());
      if (at >= text.size()) return out;
      const std::size_t bytes = char_bytes(text.bytes()[at]);
      put(text, at, at + bytes);
      at += bytes;
    }
  }
  while (left > 0 && !from.empty()) {
    const std::size_t found = find_bytes(text.view(), from.view(), at);
    if (found == std::string::npos) break;
    --left;
    machine.step();
    put(text, at, found);
    put(to, 0, to.size());
    at = found + from.size();
  }
  put(text, at, text.size());
  return out;
}

Text join(Machine& machine, const Text& separator, const std::vector<Value>& items) {
  Text out;
  for (std::size_t i = 0; i < items.size(); ++i) {
    if (!items[i].is(Kind::string)) {
      machine.fail("sequence item {}: expected a string, found '{}'", i, type_name(items[i]));
    }
    machine.charge(separator.size() + items[i].text().size());
    if (i > 0) out.append(separator);
    out.append(items[i].text());
  }
  return out;
}

std::vector<Text> split_lines(Machine& machine, const Text& text) {
  machine.scan(text.size() * 4);
  std::vector<Text> lines;
  std::size_t begin = 0;
  for (std::size_t at = 0; at < text.size();) {
    const CodePoint c = code_point(text.view(), at);
    std::size_t next = at + c.bytes;
    if (is_line_break(c.code)) {
      if (c.code == '\r' && next < text.size() && text.bytes()[next] == '\n') ++next;
      machine.charge(at - begin + sizeof(Text));
      lines.push_back(text.slice(begin, at));
      begin = next;
    }
    at = next;
  }
  if (begin < text.size()) lines.push_back(text.slice(begin, text.size()));
  return lines;
}

Text upper(Machine& machine, const Text& text) {
  return map_chars(machine, text, [](std::string& out, std::uint32_t code, std::size_t) {
    append_upper(out, code);
  });
}

Text lower(Machine& machine, const Text& text) {
  return map_chars(machine, text, [&](std::string& out, std::uint32_t code, std::size_t at) {
    append_lower_at(out, text.view(), code, at);
  });
}

Text capitalize(Machine& machine, const Text& text) {
  return map_chars(machine, text, [&](std::string& out, std::uint32_t code, std::size_t at) {
    if (at == 0) {
      append_title(out, code);
    } else {
      append_lower_at(out, text.view(), code, at);
    }
  });
}

Text center(Machine& machine, const Text& text, std::int64_t width) {
  const std::int64_t missing = width - static_cast<std::int64_t>(count_chars(text.view()));
  if (missing <= 0) return text;
  // CPython puts the odd space to the left if the width is odd.
  const std::int64_t left = missing / 2 + (missing & width & 1);
  return pad(machine, text, left, missing - left, Text(" "));
}

}  // namespace nautile::jinja
