// bpe_vocab.cpp — builds the token table and its hash index.
#include "text/bpe_vocab.h"

#include <algorithm>
#include <array>
#include <limits>

#include "base/error.h"
#include "text/unicode.h"

namespace nautile {
namespace {

// Bytes that GPT-2's alphabet leaves as they are; the others follow from U+0100 on, in order.
constexpr bool stands_for_itself(int byte) {
  return (byte >= '!' && byte <= '~') || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
}

struct Alphabet {
  std::array<char32_t, 256> code{};
  std::array<std::int16_t, 0x180> byte{};
};

constexpr Alphabet make_alphabet() {
  Alphabet a;
  a.byte.fill(-1);
  char32_t next = 0x100;
  for (int b = 0; b < 256; ++b) {
    const char32_t code = stands_for_itself(b) ? static_cast<char32_t>(b) : next++;
    a.code[static_cast<std::size_t>(b)] = code;
    a.byte[code] = static_cast<std::int16_t>(b);
  }
  return a;
}
constexpr Alphabet kAlphabet = make_alphabet();

}  // namespace

bool alphabet_to_bytes(std::string_view text, std::string& bytes) {
  bytes.clear();
  while (!text.empty()) {
    if (utf8_step(text).kind != Utf8Step::Kind::valid) return false;
    const Rune rune = decode_rune(text.data());
    if (rune.code >= kAlphabet.byte.size() || kAlphabet.byte[rune.code] < 0) return false;
    bytes.push_back(static_cast<char>(kAlphabet.byte[rune.code]));
    text.remove_prefix(static_cast<std::size_t>(rune.length));
  }
  return true;
}

std::string bytes_to_alphabet(std::string_view bytes) {
  std::string text;
  for (const char c : bytes) append_utf8(text, kAlphabet.code[static_cast<unsigned char>(c)]);
  return text;
}

std::string brief(std::string_view text) {
  if (text.size() <= 60) return replace_invalid_utf8(text);
  return replace_invalid_utf8(text.substr(0, 57)) + "...";
}

BpeVocab::BpeVocab(const std::vector<VocabEntry>& entries, TokenSpelling spelling)
    : spelling_(spelling) {
  check(entries);
  TokenId largest = -1;
  for (const VocabEntry& e : entries) largest = std::max(largest, e.id);
  const auto count = at(largest) + 1;
  flags_.assign(count, 0);
  std::vector<const VocabEntry*> by_id(count, nullptr);
  for (const VocabEntry& e : entries) {
    const VocabEntry*& slot = by_id[at(e.id)];
    NAUTILE_CHECK(!slot, "token id {} is given twice: to \"{}\" and to \"{}\"", e.id,
                  brief(slot->text), brief(e.text));
    slot = &e;
  }
  offsets_.reserve(count + 1);
  std::string bytes;
  for (std::size_t id = 0; id < count; ++id) {
    offsets_.push_back(static_cast<std::uint32_t>(blob_.size()));
    if (!by_id[id]) continue;
    const VocabEntry& e = *by_id[id];
    const bool byte_form = spelling == TokenSpelling::bytes || alphabet_to_bytes(e.text, bytes);
    flags_[id] = static_cast<std::uint8_t>(kPresent | (byte_form ? kByteForm : 0) |
                                           (e.in_model ? kInModel : 0));
    blob_ += byte_form && spelling == TokenSpelling::alphabet ? bytes : e.text;
  }
  offsets_.push_back(static_cast<std::uint32_t>(blob_.size()));
  index();
}

void BpeVocab::check(const std::vector<VocabEntry>& entries) const {
  const std::size_t limit = 1048576 + 4 * entries.size();
  std::size_t total = 0;
  for (const VocabEntry& e : entries) {
    NAUTILE_CHECK(e.id >= 0, "token \"{}\" has the negative id {}", brief(e.text), e.id);
    NAUTILE_CHECK(at(e.id) < limit,
                  "token \"{}\" has id {}, out of all proportion to a vocabulary of {} tokens",
                  brief(e.text), e.id, entries.size());
    total += e.text.size();
  }
  NAUTILE_CHECK(total < std::numeric_limits<std::uint32_t>::max(),
                "the vocabulary's {} bytes of token text are too many", total);
}

void BpeVocab::index() {
  std::size_t byte_forms = 0;
  for (const std::uint8_t f : flags_) byte_forms += (f & kByteForm) ? 1 : 0;
  std::size_t slots = 1024;
  while (slots * 5 < byte_forms * 8) slots *= 2;
  slots_.assign(slots, {0, kNoToken});
  slot_mask_ = slots - 1;
  for (TokenId id = 0; id < size(); ++id) {
    if (has(id)) insert(id);
  }
}

void BpeVocab::insert(TokenId id) {
  const std::string_view text = bytes(id);
  if (!is_byte_form(id)) {
    const auto [it, added] = other_.emplace(std::string(text), id);
    NAUTILE_CHECK(added, "token \"{}\" is listed twice, with ids {} and {}", brief(text),
                  it->second, id);
    return;
  }
  const std::uint64_t hash = hash_bytes(text.data(), text.size());
  const TokenId other = find_any(text, hash);
  NAUTILE_CHECK(other == kNoToken, "token \"{}\" is listed twice, with ids {} and {}",
                brief(this->text(id)), other, id);
  std::size_t slot = hash & slot_mask_;
  while (slots_[slot].id != kNoToken) slot = (slot + 1) & slot_mask_;
  slots_[slot] = {static_cast<std::uint32_t>(hash >> 32), id};
  longest_ = std::max(longest_, text.size());
}

std::string BpeVocab::text(TokenId id) const {
  if (spelling_ == TokenSpelling::bytes || !is_byte_form(id)) return std::string(bytes(id));
  return bytes_to_alphabet(bytes(id));
}

TokenId BpeVocab::find_text(std::string_view text) const {
  if (spelling_ == TokenSpelling::bytes) {
    return find_any(text, hash_bytes(text.data(), text.size()));
  }
  std::string bytes;
  if (alphabet_to_bytes(text, bytes)) {
    return find_any(bytes, hash_bytes(bytes.data(), bytes.size()));
  }
  const auto it = other_.find(std::string(text));
  return it == other_.end() ? kNoToken : it->second;
}

}  // namespace nautile
