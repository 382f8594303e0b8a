// strings.h — steps through short text: blanks off its ends, a list's members.
#pragma once

#include <algorithm>
#include <string_view>

namespace nautile {

// `text` without `blanks` at its ends.
inline std::string_view trimmed(std::string_view text, std::string_view blanks = " \t\r\n") {
  const std::size_t begin = text.find_first_not_of(blanks);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(blanks) + 1 - begin);
}

// The next member of a field's list (RFC 9110, 5.6.1), trimmed; it is taken off the list. "" where
// it is empty.
inline std::string_view next_member(std::string_view& list) {
  const std::size_t comma = std::min(list.find(','), list.size());
  const std::string_view member = list.substr(0, comma);
  list.remove_prefix(std::min(comma + 1, list.size()));
  return trimmed(member, " \t");
}

}  // namespace nautile
