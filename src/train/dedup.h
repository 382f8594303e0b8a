// dedup.h — Deduplicator: tells documents that were there before, the same or nearly so.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

namespace nautile::train {

// A MinHash signature: 120 minima of hashed 5-grams of words. The share of equal entries estimates
// the Jaccard similarity of two documents' sets of 5-grams, with a standard error of at most 0.046.
// (Broder, "On the resemblance and containment of documents", 1997.)
using Signature = std::array<std::uint32_t, 120>;
inline constexpr std::size_t kShingleWords = 5;

// What dedup needs to know of a document; a pure function, so that many can be made at once.
struct Fingerprint {
  std::uint64_t exact_low = 0,
                exact_high = 0;          // XXH3-128 of the text without white space around it
  std::vector<std::uint32_t> signature;  // empty: fewer than 5 words, or not asked for
};
enum class NearDuplicates : std::uint8_t { ignore, find };
Fingerprint fingerprint(std::string_view text, std::span<const std::uint64_t> words,
                        NearDuplicates near);

// Remembers documents in order; the first of several stays. Memory: 16 bytes a document, and about
// 1 KB more where near duplicates are looked for.
class Deduplicator {
 public:
  // Documents are near duplicates from this estimated similarity on. Candidates are found by 20
  // bands of 6 minima each: of pairs with similarity 0.8, 99.8 % are seen; of 0.5, 27 %, and then
  // refused.
  explicit Deduplicator(double threshold) : threshold_(threshold) {}

  enum class Verdict : std::uint8_t { fresh, exact, near };
  // Fresh documents are remembered.
  Verdict add(const Fingerprint& document);

 private:
  bool is_near(std::span<const std::uint32_t> signature) const;
  void remember(std::span<const std::uint32_t> signature);

  struct Hash128 {
    std::uint64_t low, high;
    bool operator==(const Hash128&) const = default;
  };
  struct HashOf {
    std::size_t operator()(const Hash128& hash) const { return hash.low; }
  };
  double threshold_;
  std::unordered_set<Hash128, HashOf> exact_;
  std::vector<Signature> signatures_;
  std::unordered_map<std::uint64_t, std::vector<std::uint32_t>> bands_;  // -> into signatures_
};

}  // namespace nautile::train
