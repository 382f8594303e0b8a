// bpe_vocab.h — the tokens of a byte-level vocabulary: id <-> text <-> bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace nautile {

using TokenId = std::int32_t;
constexpr TokenId kNoToken = -1;

// The GPT-2 alphabet writes every byte as one printable character (0x20 as U+0120, "Ġ").
// Returns false, with `bytes` unspecified, if some character of `text` is not of that alphabet.
bool alphabet_to_bytes(std::string_view text, std::string& bytes);
std::string bytes_to_alphabet(std::string_view bytes);

// At most 60 bytes of a text from a file, for an error message.
std::string brief(std::string_view text);

// 64-bit hash of a short string.
inline std::uint64_t hash_bytes(const char* p, std::size_t n) {
  constexpr std::uint64_t kMul = 0x9E3779B97F4A7C15u;
  std::uint64_t h = (n + 1) * kMul;
  const auto mix = [&h](std::uint64_t word) {
    h = (h ^ word) * 0xD6E8FEB86659FD93u;
    h ^= h >> 32;
  };
  std::uint64_t word = 0;
  for (; n > 8; n -= 8, p += 8) {
    std::memcpy(&word, p, 8);
    mix(word);
  }
  word = 0;
  if (n >= 4) {
    std::uint32_t low, high;
    std::memcpy(&low, p, 4);
    std::memcpy(&high, p + n - 4, 4);
    word = std::uint64_t{high} << 32 | low;
  } else if (n > 0) {
    const auto at = [p](std::size_t i) { return std::uint64_t{static_cast<unsigned char>(p[i])}; };
    word = at(0) | at(n / 2) << 8 | at(n - 1) << 16;
  }
  mix(word);
  return h * kMul;
}

// How an entry's text is spelled.
enum class TokenSpelling { alphabet, bytes };

struct VocabEntry {
  std::string text;
  TokenId id;
  // False for control and user-defined tokens of a list that mixes them with the model's own: they
  // have an id and a text, but ordinary text never becomes one by a vocabulary lookup.
  bool in_model = true;
};

// Immutable. Ids may have gaps; a gap has no text.
class BpeVocab {
 public:
  // Throws Error(bad_input) naming the entry: negative or far-out id (past 1,048,576 + 4 * count),
  // an id or a text given twice.
  BpeVocab(const std::vector<VocabEntry>& entries, TokenSpelling spelling);

  // One past the largest id.
  std::int32_t size() const { return static_cast<std::int32_t>(flags_.size()); }
  bool has(TokenId id) const { return id >= 0 && id < size() && (flags_[at(id)] & kPresent); }

  // What the token adds to the text: its bytes if it is spelled in the alphabet, else its own text.
  std::string_view bytes(TokenId id) const {
    return {blob_.data() + offsets_[at(id)], offsets_[at(id) + 1] - offsets_[at(id)]};
  }
  bool is_byte_form(TokenId id) const { return flags_[at(id)] & kByteForm; }
  // As the vocabulary file spells it (alphabet form).
  std::string text(TokenId id) const;

  // The model's token of exactly these bytes, or kNoToken. `hash` is hash_bytes of them.
  TokenId find_bytes(std::string_view bytes, std::uint64_t hash) const {
    const TokenId id = find_any(bytes, hash);
    return id != kNoToken && (flags_[at(id)] & kInModel) ? id : kNoToken;
  }
  TokenId find_bytes(std::string_view bytes) const {
    return find_bytes(bytes, hash_bytes(bytes.data(), bytes.size()));
  }
  // Any token, in the model or not, by its text in the vocabulary's spelling.
  TokenId find_text(std::string_view text) const;

  std::size_t longest() const { return longest_; }  // bytes of the longest byte-form token

 private:
  enum : std::uint8_t { kPresent = 1, kByteForm = 2, kInModel = 4 };
  static std::size_t at(TokenId id) { return static_cast<std::size_t>(id); }

  TokenId find_any(std::string_view bytes, std::uint64_t hash) const {
    const auto tag = static_cast<std::uint32_t>(hash >> 32);
    for (std::size_t slot = hash & slot_mask_;; slot = (slot + 1) & slot_mask_) {
      const Slot& s = slots_[slot];
      if (s.id == kNoToken) return kNoToken;
      if (s.tag == tag && this->bytes(s.id) == bytes) return s.id;
    }
  }
  void check(const std::vector<VocabEntry>& entries) const;
  void index();
  void insert(TokenId id);

  struct Slot {
    std::uint32_t tag;
    TokenId id;
  };
  TokenSpelling spelling_;
  std::string blob_;
  std::vector<std::uint32_t> offsets_;  // [size + 1] into blob_
  std::vector<std::uint8_t> flags_;     // [size]
  std::vector<Slot> slots_;             // byte-form tokens, open addressing
  std::size_t slot_mask_ = 0;
  std::unordered_map<std::string, TokenId> other_;  // tokens not of the alphabet, by text
  std::size_t longest_ = 0;
};

}  // namespace nautile
