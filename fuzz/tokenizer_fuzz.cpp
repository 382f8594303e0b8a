// tokenizer_fuzz.cpp — foreign tokenizer files, and texts for whatever tokenizer comes of them.
//
// The first byte chooses the format (t: tiktoken, else tokenizer.json); a byte 0xFF ends the file,
// the rest is the text.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "base/error.h"
#include "text/detokenizer.h"
#include "text/tokenizer.h"
#include "text/unicode.h"

namespace {

constexpr std::size_t kMaxText = 64;  // a foreign pattern may take its whole budget at each byte

void exercise(const nautile::Tokenizer& t, std::string_view text) {
  using namespace nautile;
  const auto plain = t.encode(text, EncodeMode::plain);
  for (const TokenId id : plain) {
    if (t.is_special(id)) std::abort();
  }
  const auto ids = t.encode(text, EncodeMode::parse_added, AddSpecial::yes);
  for (const SkipSpecial skip : {SkipSpecial::no, SkipSpecial::yes}) {
    Detokenizer d(t, skip);
    std::string stream;
    for (const TokenId id : ids) stream += d.feed(id);
    stream += d.flush();
    if (stream != t.decode(ids, skip)) std::abort();
    if (valid_utf8_prefix(stream) != stream.size()) std::abort();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view input(reinterpret_cast<const char*>(data) + 1, size - 1);
  const std::size_t end = std::min(input.find('\xFF'), input.size());
  const std::string_view file = input.substr(0, end);
  const std::string_view text = input.substr(std::min(end + 1, input.size())).substr(0, kMaxText);
  try {
    exercise(data[0] == 't' ? nautile::Tokenizer::from_tiktoken(file, "")
                            : nautile::Tokenizer::from_json(file, ""),
             text);
  } catch (const nautile::Error&) {
  }
  return 0;
}
