// dataset.cpp — draws: source by mixture, unit by permutation, then packed and laid out.
#include "train/dataset.h"

#include <algorithm>

#include "base/error.h"
#include "base/rng.h"
#include "train/batch_builder.h"
#include "train/permutation.h"
#include "train/units.h"

namespace nautile::train {
namespace {

// Streams of random numbers of one seed.
constexpr std::uint64_t kOrderStream = 1, kFimStream = 2;

std::uint64_t word(std::uint64_t seed, std::uint64_t index, std::uint64_t stream) {
  const auto block = philox(seed, index, stream);
  return std::uint64_t{block[0]} << 32 | block[1];
}

void check_token(std::optional<std::int32_t> id, const char* name, const Vocabulary& vocabulary) {
  NAUTILE_CHECK(!id || (*id >= 0 && static_cast<std::uint32_t>(*id) < vocabulary.size),
                "the {} token has id {}, the data's vocabulary {} tokens", name, *id,
                vocabulary.size);
}

void check(const DataFolder& folder, const DatasetOptions& options) {
  NAUTILE_CHECK(options.seq_len >= 2 && options.seq_len <= 1 << 24,
                "rows of {} tokens (expected 2 to {})", options.seq_len, 1 << 24);
  NAUTILE_CHECK(options.slot_rows >= 1 && options.slot_rows * options.seq_len <= 1 << 30,
                "slots of {} rows of {} tokens", options.slot_rows, options.seq_len);
  check_token(options.bos, "BOS", folder.vocabulary);
  check_token(options.eos, "EOS", folder.vocabulary);
  if (!options.fim) return;
  NAUTILE_CHECK(options.fim->rate >= 0 && options.fim->rate <= 1,
                "a rate of fill-in-the-middle of {} (expected 0 to 1)", options.fim->rate);
  for (const std::int32_t id : {options.fim->begin, options.fim->hole, options.fim->end}) {
    check_token(id, "fill-in-the-middle", folder.vocabulary);
  }
}

}  // namespace

struct Dataset::Impl {
  struct Source {
    std::string name;
    double weight;
    std::uint64_t key;  // of its permutations
    Units units;
  };
  struct Draw {
    const Source* source;
    std::uint64_t unit;
    bool fim;
  };

  DatasetOptions options;
  std::vector<Source> sources;
  std::unique_ptr<const Mixture> mixture;
  std::unique_ptr<const Packer> packer;

  Impl(const DataFolder& folder, DatasetOptions given) : options(std::move(given)) {
    check(folder, options);
    for (const auto& [name, weight] : options.weights) {
      const bool known = std::any_of(folder.sources.begin(), folder.sources.end(),
                                     [&](const DataSource& source) { return source.name == name; });
      NAUTILE_CHECK(known, "there is a weight for source '{}', which {} does not have", name,
                    folder.path);
    }
    double sum = 0;
    for (std::size_t i = 0; i < folder.sources.size(); ++i) {
      const DataSource& source = folder.sources[i];
      const auto own = options.weights.find(source.name);
      const double weight = own == options.weights.end() ? source.weight : own->second;
      if (weight == 0) continue;
      sources.push_back(
          {source.name, weight, word(options.seed, i, kOrderStream), Units(source.train, options)});
      NAUTILE_CHECK(sources.back().units.count() > 0,
                    "source '{}' of {} has no documents to train on", source.name, folder.path);
      sum += weight;
    }
    NAUTILE_CHECK(!sources.empty(), "no source of {} has a weight", folder.path);
    std::vector<double> by_unit;  // weights are of tokens, draws are units
    for (Source& source : sources) {
      source.weight /= sum;
      by_unit.push_back(source.weight * static_cast<double>(source.units.count()) /
                        static_cast<double>(source.units.tokens()));
    }
    mixture = std::make_unique<Mixture>(by_unit);
    packer = std::make_unique<Packer>(options.packing, options.seq_len, options.slot_rows,
                                      [this](std::uint64_t draw) { return length(draw); });
  }
  Impl(const Impl&) = delete;

  Draw draw(std::uint64_t number) const {
    const Mixture::Place place = mixture->at(number);
    const Source& source = sources[place.source];
    const std::uint64_t count = source.units.count();
    const Permutation order(count, source.key + place.index / count * 0x9E3779B97F4A7C15u);
    const std::uint64_t unit = order(place.index % count);
    bool fim = false;
    if (options.fim && source.units.takes_fim(unit)) {
      const auto block = philox(options.seed, number, kFimStream);
      fim = unit_interval(block[0], block[1]) < options.fim->rate;
    }
    return {&source, unit, fim};
  }

  std::int64_t length(std::uint64_t number) const {
    const Draw d = draw(number);
    return d.source->units.length(d.unit) + (d.fim ? 3 : 0);
  }

  UnitTokens read(std::uint64_t number) const {
    const Draw d = draw(number);
    if (!d.fim) return d.source->units.read(d.unit, std::nullopt);
    const std::uint64_t length = d.source->units.document_length(d.unit);
    const auto block = philox(options.seed, number, kFimStream);
    const std::uint64_t a = std::uint64_t{block[2]} * (length + 1) >> 32;
    const std::uint64_t b = std::uint64_t{block[3]} * (length + 1) >> 32;
    return d.source->units.read(d.unit, FimCut{std::min(a, b), std::max(a, b)});
  }
};

Dataset::Dataset(const DataFolder& folder, DatasetOptions options)
    : impl_(std::make_unique<Impl>(folder, std::move(options))) {}
Dataset::~Dataset() = default;
Dataset::Dataset(Dataset&&) noexcept = default;

const DatasetOptions& Dataset::options() const {
  return impl_->options;
}

TokenBatch Dataset::slot(std::int64_t index) const {
  BatchBuilder builder(impl_->options.attend);
  for (const PackedRow& row : impl_->packer->slot(index)) {
    for (const PackedPiece& piece : row)
      builder.piece(impl_->read(piece.draw), piece.begin, piece.end);
    builder.end_row();
  }
  return builder.finish();
}

std::vector<SourceUse> Dataset::use_before(std::int64_t index) const {
  const std::uint64_t draws = impl_->packer->draws_before(index);
  std::vector<SourceUse> uses;
  for (std::size_t i = 0; i < impl_->sources.size(); ++i) {
    const Impl::Source& source = impl_->sources[i];
    uses.push_back(
        {source.name, source.weight, source.units.count(), impl_->mixture->count(i, draws)});
  }
  return uses;
}

std::uint64_t Dataset::cut_chats() const {
  std::uint64_t sum = 0;
  for (const Impl::Source& source : impl_->sources) sum += source.units.cut_chats();
  return sum;
}

std::vector<TokenBatch> held_out_batches(const DataFolder& folder, const std::string& source,
                                         DatasetOptions options, std::int64_t max_tokens) {
  options.fim.reset();
  check(folder, options);
  const auto found = std::find_if(folder.sources.begin(), folder.sources.end(),
                                  [&](const DataSource& s) { return s.name == source; });
  NAUTILE_CHECK(found != folder.sources.end(), "{} has no source '{}'", folder.path, source);
  const Units units(found->held_out, options);
  if (units.count() == 0) return {};
  const Permutation order(units.count(), 0);
  std::uint64_t draws = 0;
  for (std::int64_t tokens = 0;
       draws < units.count() && (max_tokens == 0 || tokens < max_tokens);) {
    tokens += units.length(order(draws++));
  }
  const Packer packer(
      options.packing, options.seq_len, options.slot_rows,
      [&](std::uint64_t draw) { return units.length(order(draw)); }, draws);
  std::vector<TokenBatch> batches;
  for (std::int64_t slot = 0;; ++slot) {
    BatchBuilder builder(options.attend);
    const std::vector<PackedRow> rows = packer.slot(slot);
    if (rows.empty()) return batches;
    for (const PackedRow& row : rows) {
      for (const PackedPiece& piece : row) {
        builder.piece(units.read(order(piece.draw), std::nullopt), piece.begin, piece.end);
      }
      builder.end_row();
    }
    batches.push_back(builder.finish());
  }
}

}  // namespace nautile::train
