// jinja_text_tools.h — what str's methods and the filters do to text, keeping its provenance.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "text/jinja_chars.h"
#include "text/jinja_machine.h"

namespace nautile::jinja {

// Byte position of needle at or after `from`, or npos; linear time.
std::size_t find_bytes(std::string_view haystack, std::string_view needle, std::size_t from);
// Byte position of the last needle that ends at or before `end`, or npos; linear time.
std::size_t rfind_bytes(Machine& machine, std::string_view haystack, std::string_view needle,
                        std::size_t end);
// Start of the character that ends before byte `end` (> 0).
std::size_t char_before(std::string_view text, std::size_t end);

// str.strip family: which ends, which characters (none: white space).
enum class Strip { both, left, right };
Text strip(Machine& machine, const Text& text, Strip ends, const Value& characters);
// str.replace; a negative count replaces all.
Text replace(Machine& machine, const Text& text, const Text& from, const Text& to,
             std::int64_t count);
// sep.join(items); fails if an item is not a string.
Text join(Machine& machine, const Text& separator, const std::vector<Value>& items);
// str.splitlines without the line ends.
std::vector<Text> split_lines(Machine& machine, const Text& text);
// Copies of `fill` around the text; negative counts are none.
Text pad(Machine& machine, const Text& text, std::int64_t left, std::int64_t right,
         const Text& fill);
// str.center with spaces.
Text center(Machine& machine, const Text& text, std::int64_t width);

// Case mappings, each character keeping its provenance.
Text upper(Machine& machine, const Text& text);
Text lower(Machine& machine, const Text& text);
Text capitalize(Machine& machine, const Text& text);
// The lower case of the character at byte `at`; a final sigma depends on its neighbours.
void append_lower_at(std::string& out, std::string_view text, std::uint32_t code, std::size_t at);

// map(out, code, at) appends what becomes of each character, which inherits its provenance.
template <class Map>
Text map_chars(Machine& machine, const Text& text, const Map& map) {
  machine.charge(text.size());
  machine.scan(text.size() * 4);
  Text out;
  std::string piece;
  for (std::size_t at = 0; at < text.size();) {
    const CodePoint c = code_point(text.view(), at);
    piece.clear();
    map(piece, c.code, at);
    out.append(piece, text.origin_at(at));
    at += c.bytes;
  }
  return out;
}

}  // namespace nautile::jinja
