#include "train/dedup.h"

#include <xxhash.h>

#include <algorithm>
#include <cmath>

#include "base/rng.h"

namespace nautile::train {
namespace {

constexpr std::size_t kBands = 20, kBandRows = 6;
static_assert(kBands * kBandRows == std::tuple_size_v<Signature>);
// A text that everybody repeats would make every look-up long; the first of a kind are enough.
constexpr std::size_t kBucket = 16;

struct Lines {  // of the hash family h -> (a·h + b) >> 32
  std::array<std::uint64_t, std::tuple_size_v<Signature>> a{}, b{};
};
constexpr Lines kLines = [] {
  Lines lines;
  std::uint64_t state = 1;
  const auto next = [&state] { return mix64(state += 0x9E3779B97F4A7C15u); };  // splitmix64
  for (std::size_t i = 0; i < lines.a.size(); ++i) {
    lines.a[i] = next() | 1;
    lines.b[i] = next();
  }
  return lines;
}();

std::vector<std::uint32_t> signature_of(std::span<const std::uint64_t> words) {
  if (words.size() < kShingleWords) return {};
  std::vector<std::uint32_t> minima(std::tuple_size_v<Signature>, 0xFFFFFFFFu);
  for (std::size_t i = 0; i + kShingleWords <= words.size(); ++i) {
    const std::uint64_t shingle = XXH3_64bits(words.data() + i, kShingleWords * sizeof(words[0]));
    for (std::size_t k = 0; k < minima.size(); ++k) {
      minima[k] = std::min(minima[k],
                           static_cast<std::uint32_t>((kLines.a[k] * shingle + kLines.b[k]) >> 32));
    }
  }
  return minima;
}

std::uint64_t band_key(std::span<const std::uint32_t> signature, std::size_t band) {
  const auto rows = signature.subspan(band * kBandRows, kBandRows);
  return XXH3_64bits_withSeed(rows.data(), rows.size_bytes(), band);
}

}  // namespace

Fingerprint fingerprint(std::string_view text, std::span<const std::uint64_t> words,
                        NearDuplicates near) {
  const std::size_t begin = std::min(text.find_first_not_of(" \t\r\n"), text.size());
  const std::size_t end = text.find_last_not_of(" \t\r\n");
  const std::string_view core = end == text.npos ? "" : text.substr(begin, end + 1 - begin);
  const XXH128_hash_t hash = XXH3_128bits(core.data(), core.size());
  Fingerprint result{hash.low64, hash.high64, {}};
  if (near == NearDuplicates::find) result.signature = signature_of(words);
  return result;
}

bool Deduplicator::is_near(std::span<const std::uint32_t> signature) const {
  const auto wanted =
      static_cast<std::size_t>(std::llround(threshold_ * static_cast<double>(signature.size())));
  for (std::size_t band = 0; band < kBands; ++band) {
    const auto found = bands_.find(band_key(signature, band));
    if (found == bands_.end()) continue;
    for (const std::uint32_t candidate : found->second) {
      std::size_t same = 0;
      for (std::size_t i = 0; i < signature.size(); ++i) {
        same += signature[i] == signatures_[candidate][i] ? 1 : 0;
      }
      if (same >= wanted) return true;
    }
  }
  return false;
}

void Deduplicator::remember(std::span<const std::uint32_t> signature) {
  const auto index = static_cast<std::uint32_t>(signatures_.size());
  std::copy(signature.begin(), signature.end(), signatures_.emplace_back().begin());
  for (std::size_t band = 0; band < kBands; ++band) {
    std::vector<std::uint32_t>& bucket = bands_[band_key(signature, band)];
    if (bucket.size() < kBucket) bucket.push_back(index);
  }
}

Deduplicator::Verdict Deduplicator::add(const Fingerprint& document) {
  if (exact_.contains({document.exact_low, document.exact_high})) return Verdict::exact;
  if (!document.signature.empty()) {
    if (is_near(document.signature)) return Verdict::near;
    remember(document.signature);
  }
  exact_.insert({document.exact_low, document.exact_high});
  return Verdict::fresh;
}

}  // namespace nautile::train
