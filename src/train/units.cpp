#include "train/units.h"

#include <algorithm>

#include "base/error.h"

namespace nautile::train {
namespace {

constexpr std::int64_t kFimTokens = 3;
constexpr std::uint64_t kLeastFim = 8;  // tokens; shorter documents have no middle worth filling

}  // namespace

Units::Units(const std::vector<Shard>& shards, const DatasetOptions& options)
    : shards_(shards), options_(options), first_document_{0}, first_unit_{0} {
  for (const Shard& shard : shards) {
    first_document_.push_back(first_document_.back() + shard.documents());
    for (std::uint64_t document = 0; document < shard.documents(); ++document) {
      const std::int64_t total = total_of(shard, document), row = options.seq_len;
      const bool is_chat = shard.kind(document) == DocumentKind::chat;
      const std::int64_t units =
          is_chat ? std::min<std::int64_t>(total, 1) : (total + row - 1) / row;
      if (is_chat && total > row) ++cut_chats_;
      tokens_ += static_cast<std::uint64_t>(is_chat ? std::min(total, row) : total);
      first_unit_.push_back(first_unit_.back() + static_cast<std::uint64_t>(units));
    }
  }
}

std::int64_t Units::total_of(const Shard& shard, std::uint64_t document) const {
  const auto length = static_cast<std::int64_t>(shard.length(document));
  if (shard.kind(document) == DocumentKind::chat) return length;
  return length + (options_.bos ? 1 : 0) + (options_.eos ? 1 : 0);
}

Units::Place Units::place(std::uint64_t unit) const {
  NAUTILE_ASSERT(unit < count(), "unit {} of {}", unit, count());
  const auto after = std::upper_bound(first_unit_.begin(), first_unit_.end(), unit);
  const auto document = static_cast<std::uint64_t>(after - first_unit_.begin()) - 1;
  const auto shard_after =
      std::upper_bound(first_document_.begin(), first_document_.end(), document);
  const auto index = static_cast<std::size_t>(shard_after - first_document_.begin()) - 1;
  const Shard& shard = shards_[index];
  const std::uint64_t local = document - first_document_[index];
  return {&shard, local, static_cast<std::int64_t>(unit - first_unit_[document]),
          static_cast<std::int64_t>(first_unit_[document + 1] - first_unit_[document]),
          total_of(shard, local)};
}

std::int64_t Units::length(std::uint64_t unit) const {
  const Place at = place(unit);
  return std::min(options_.seq_len, at.total - at.piece * options_.seq_len);
}

bool Units::takes_fim(std::uint64_t unit) const {
  const Place at = place(unit);
  return at.shard->kind(at.document) == DocumentKind::text && at.pieces == 1 &&
         at.total + kFimTokens <= options_.seq_len && at.shard->length(at.document) >= kLeastFim;
}

std::uint64_t Units::document_length(std::uint64_t unit) const {
  const Place at = place(unit);
  return at.shard->length(at.document);
}

UnitTokens Units::read(std::uint64_t unit, const std::optional<FimCut>& cut) const {
  const Place at = place(unit);
  const Shard& shard = *at.shard;
  const std::uint64_t length = shard.length(at.document);
  UnitTokens out;
  const auto append = [&](std::uint64_t begin, std::uint64_t end) {
    const std::size_t before = out.tokens.size();
    out.tokens.resize(before + (end - begin));
    shard.read(at.document, begin, std::span(out.tokens).subspan(before));
  };
  if (shard.kind(at.document) == DocumentKind::chat) {
    append(0, std::min(length, static_cast<std::uint64_t>(options_.seq_len)));
    out.weights.assign(out.tokens.size(), 0);
    for (const TokenRun& run : shard.runs(at.document)) {
      for (std::size_t i = run.begin; i < std::min<std::size_t>(run.end, out.weights.size()); ++i) {
        out.weights[i] = 1;
      }
    }
    return out;
  }
  // The unit covers [begin, end) of BOS + tokens + EOS.
  const std::int64_t begin = at.piece * options_.seq_len;
  const std::int64_t end = std::min(at.total, begin + options_.seq_len);
  const std::int64_t shift = options_.bos ? 1 : 0;
  if (options_.bos && begin == 0) out.tokens.push_back(*options_.bos);
  const auto from = static_cast<std::uint64_t>(std::max<std::int64_t>(0, begin - shift));
  const std::uint64_t to = std::min(length, static_cast<std::uint64_t>(end - shift));
  if (cut) {
    NAUTILE_ASSERT(cut->first <= cut->second && cut->second <= length && options_.fim,
                   "FIM at {} and {} of {}", cut->first, cut->second, length);
    out.tokens.push_back(options_.fim->begin);
    append(0, cut->first);
    out.tokens.push_back(options_.fim->hole);
    append(cut->second, length);
    out.tokens.push_back(options_.fim->end);
    append(cut->first, cut->second);
  } else if (from < to) {
    append(from, to);
  }
  if (options_.eos && end == at.total) out.tokens.push_back(*options_.eos);
  out.weights.assign(out.tokens.size(), 1);
  return out;
}

}  // namespace nautile::train
