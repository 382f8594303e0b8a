#include "train/decontaminate.h"

#include <algorithm>
#include <functional>

#include "base/error.h"
#include "base/json.h"
#include "train/text_input.h"
#include "train/words.h"

namespace nautile::train {
namespace {

constexpr std::uint64_t kBase = 0x9E3779B97F4A7C15u;  // odd: multiplication loses nothing
constexpr std::size_t kLine = std::size_t{64} << 20;
constexpr std::size_t kWhole = std::size_t{1} << 30;

std::uint64_t gram_key(std::uint64_t rolling, std::size_t length) {
  std::uint64_t z = rolling + length * 0xD6E8FEB86659FD93u;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
  return z ^ (z >> 31);
}

// Calls visit(key, first word) for every run of `length` words; stops when it returns true.
template <class Visit>
void each_gram(std::span<const std::uint64_t> words, std::size_t length, Visit&& visit) {
  if (words.size() < length) return;
  std::uint64_t top = 1, rolling = 0;  // top = kBase^length
  for (std::size_t i = 0; i < length; ++i) top *= kBase;
  for (std::size_t i = 0; i < words.size(); ++i) {
    rolling = rolling * kBase + words[i];
    if (i >= length) rolling -= words[i - length] * top;
    if (i + 1 >= length && visit(gram_key(rolling, length), i + 1 - length)) return;
  }
}

void each_text(const nlohmann::json& value, const std::function<void(const std::string&)>& visit) {
  if (value.is_string()) visit(value.get_ref<const std::string&>());
  if (value.is_structured()) {
    for (const auto& inner : value) each_text(inner, visit);
  }
}

}  // namespace

Decontaminator::Decontaminator(std::size_t n) : n_(n) {
  if (n < kLeastWords || n > 1000) {
    fail(ErrorKind::usage, "decontamination by {}-grams (expected {} to 1000 words)", n,
         kLeastWords);
  }
}

void Decontaminator::add(const std::string& set, std::string_view item) {
  const std::vector<std::uint64_t> words = word_hashes(item);
  ++items_;
  if (words.size() < kLeastWords) {
    ++too_short_;
    return;
  }
  auto known = std::find(sets_.begin(), sets_.end(), set);
  if (known == sets_.end()) known = sets_.insert(sets_.end(), set);
  const auto index = static_cast<std::uint32_t>(known - sets_.begin());
  const std::size_t length = std::min(n_, words.size());
  each_gram(words, length, [&](std::uint64_t key, std::size_t) {
    grams_.emplace(key, index);
    return false;
  });
  if (std::find(lengths_.begin(), lengths_.end(), length) == lengths_.end()) {
    lengths_.push_back(length);
    std::sort(lengths_.rbegin(), lengths_.rend());
  }
}

void Decontaminator::add_file(const std::string& path) {
  const bool is_jsonl = path.ends_with(".jsonl") || path.ends_with(".jsonl.zst");
  TextInput input(path, is_jsonl ? "\n" : "", is_jsonl ? kLine : kWhole);
  std::string part;
  while (input.next(part)) {
    if (!is_jsonl) {
      add(path, part);
    } else if (part.find_first_not_of(" \t") != part.npos) {
      const auto json = parse_json(part, fmt::format("{}, line {}", path, input.line()));
      each_text(json, [&](const std::string& text) { add(path, text); });
    }
  }
}

std::optional<Decontaminator::Hit> Decontaminator::find(
    std::span<const std::uint64_t> words) const {
  for (const std::size_t length : lengths_) {
    std::optional<Hit> hit;
    each_gram(words, length, [&](std::uint64_t key, std::size_t word) {
      const auto found = grams_.find(key);
      if (found == grams_.end()) return false;
      hit = Hit{sets_[found->second], word, length};
      return true;
    });
    if (hit) return hit;
  }
  return std::nullopt;
}

}  // namespace nautile::train
