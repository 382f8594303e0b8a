// dataset_test.cpp — shards, permutation, mixture, packing, and what a slot holds.
#include "train/dataset.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <numeric>
#include <set>
#include <thread>

#include "base/error.h"
#include "base/rng.h"
#include "train/permutation.h"

namespace nautile::train {
namespace {

namespace fs = std::filesystem;
constexpr Vocabulary kVocabulary = {42, 1000};
constexpr std::int32_t kBos = 998, kEos = 999;

class DataTest : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::temp_directory_path() / ("nautile_dataset_" + std::to_string(getpid()));
    fs::create_directories(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }

  std::string path(const std::string& name) const { return (folder_ / name).string(); }

  // Documents of 1 … longest tokens; token k of document i is 10·source + a function of both.
  Shard shard(const std::string& name, std::uint64_t documents, std::uint64_t longest,
              DocumentKind kind = DocumentKind::text, Vocabulary vocabulary = kVocabulary) const {
    ShardWriter writer(path(name), vocabulary);
    for (std::uint64_t i = 0; i < documents; ++i) {
      const std::uint64_t length = 1 + philox(7, i, 1)[0] % longest;
      std::vector<std::int32_t> tokens;
      for (std::uint64_t k = 0; k < length; ++k) {
        tokens.push_back(static_cast<std::int32_t>((i * 31 + k) % 900));
      }
      const TokenRun run = {static_cast<std::uint32_t>(length / 2),
                            static_cast<std::uint32_t>(length)};
      writer.add(tokens, static_cast<std::uint32_t>(length * 3), kind,
                 kind == DocumentKind::chat ? std::span(&run, 1) : std::span<const TokenRun>());
    }
    writer.finish();
    return Shard(path(name));
  }

  DataFolder folder(const std::vector<std::pair<std::string, double>>& sources,
                    std::uint64_t documents = 200, std::uint64_t longest = 40) const {
    DataFolder data;
    data.path = folder_.string();
    data.vocabulary = kVocabulary;
    for (const auto& [name, weight] : sources) {
      DataSource source;
      source.name = name;
      source.weight = weight;
      source.train.push_back(shard(name + "-0", documents, longest));
      source.train.push_back(shard(name + "-1", documents / 2, longest));
      source.held_out.push_back(shard(name + "-h", 20, longest));
      data.sources.push_back(std::move(source));
    }
    return data;
  }

  fs::path folder_;
};

using ShardFile = DataTest;

TEST_F(ShardFile, RoundTrip) {
  for (const std::uint32_t vocabulary : {1000u, 100'000u}) {
    const Shard chat = shard("chat", 300, 50, DocumentKind::chat, {1, vocabulary});
    EXPECT_EQ(chat.documents(), 300u);
    std::uint64_t tokens = 0;
    for (std::uint64_t i = 0; i < 300; ++i) {
      const auto length = static_cast<std::uint32_t>(chat.length(i));
      tokens += length;
      EXPECT_EQ(chat.runs(i), (std::vector<TokenRun>{{length / 2, length}}));
      EXPECT_EQ(chat.text_bytes(i), length * 3);
      std::vector<std::int32_t> read(length - length / 3);
      chat.read(i, length / 3, read);
      for (std::size_t k = 0; k < read.size(); ++k) {
        ASSERT_EQ(read[k], static_cast<std::int32_t>((i * 31 + length / 3 + k) % 900));
      }
    }
    EXPECT_EQ(chat.tokens(), tokens);
    EXPECT_EQ(chat.kind(0), DocumentKind::chat);
  }
}

// Any changed byte is found: at once in header, index and trailer, at the touch of a block else.
TEST_F(ShardFile, EveryFlippedByteIsFound) {
  shard("whole", 10, 12, DocumentKind::chat);
  std::string bytes = read_file(path("whole"));
  for (std::size_t at = 0; at < bytes.size(); ++at) {
    bytes[at] = static_cast<char>(bytes[at] ^ 0x10);
    std::ofstream(path("flipped"), std::ios::binary) << bytes;
    bytes[at] = static_cast<char>(bytes[at] ^ 0x10);
    EXPECT_THROW(
        {
          const Shard flipped(path("flipped"));
          flipped.verify();
        },
        Error)
        << at;
  }
  for (std::size_t size = 0; size < bytes.size(); size += 7) {
    std::ofstream(path("cut"), std::ios::binary) << bytes.substr(0, size);
    EXPECT_THROW(Shard(path("cut")), Error) << size;
  }
}

TEST(Permutation, IsABijection) {
  for (const std::uint64_t size : {1u, 2u, 3u, 5u, 64u, 1000u, 4097u}) {
    std::set<std::uint64_t> seen;
    std::uint64_t kept = 0;
    const Permutation order(size, 99), other(size, 100);
    for (std::uint64_t i = 0; i < size; ++i) {
      seen.insert(order(i));
      kept += order(i) == other(i) ? 1 : 0;
    }
    EXPECT_EQ(seen.size(), size);
    if (size >= 1000) {
      EXPECT_LT(kept, 20u);
    }
  }
}

TEST(Mixture, KeepsItsSharesEverywhere) {
  const std::vector<double> weights = {45, 40, 0.5, 10, 4.5};
  const Mixture mixture(weights);
  std::vector<std::uint64_t> counts(weights.size(), 0);
  for (std::uint64_t draw = 0; draw < 20'000; ++draw) {
    const Mixture::Place place = mixture.at(draw);
    ASSERT_EQ(place.index, counts[place.source]);
    ++counts[place.source];
    if (draw % 1000 != 999) continue;
    for (std::size_t s = 0; s < weights.size(); ++s) {
      ASSERT_EQ(mixture.count(s, draw + 1), counts[s]);
      EXPECT_NEAR(static_cast<double>(counts[s]), static_cast<double>(draw + 1) * weights[s] / 100,
                  3);
    }
  }
  EXPECT_THROW(Mixture({1, 0}), Error);
  EXPECT_THROW(Mixture({}), Error);
}

TEST(Packer, WholeKeepsPiecesWholeAndWastesLittle) {
  const auto length = [](std::uint64_t draw) {
    return static_cast<std::int64_t>(1 + philox(3, draw, 0)[0] % 200);
  };
  const Packer packer(Packing::whole, 320, 8, length);
  std::set<std::uint64_t> seen;
  std::int64_t tokens = 0;
  for (std::int64_t slot = 0; slot < 300; ++slot) {
    for (const PackedRow& row : packer.slot(slot)) {
      std::int64_t sum = 0;
      for (const PackedPiece& piece : row) {
        EXPECT_TRUE(seen.insert(piece.draw).second);
        EXPECT_TRUE(piece.begin == 0 && piece.end == length(piece.draw));
        sum += piece.end;
      }
      ASSERT_LE(sum, 320);
      tokens += sum;
    }
  }
  EXPECT_GT(tokens, 300 * 8 * 320 * 97 / 100);
  // Nothing waits for ever: all draws but the last few slots' are there.
  std::uint64_t missing = 0;
  while (seen.contains(missing)) ++missing;
  EXPECT_GT(missing + 300, packer.draws_before(300));
  // Any order of asking gives the same.
  const Packer fresh(Packing::whole, 320, 8, length);
  for (const std::int64_t slot : {299, 3, 130, 129}) {
    const auto a = packer.slot(slot), b = fresh.slot(slot);
    ASSERT_EQ(a.size(), b.size());
    for (std::size_t r = 0; r < a.size(); ++r) {
      ASSERT_EQ(a[r].size(), b[r].size());
      for (std::size_t p = 0; p < a[r].size(); ++p) EXPECT_EQ(a[r][p].draw, b[r][p].draw);
    }
  }
}

TEST(Packer, StreamLeavesNoGap) {
  const auto length = [](std::uint64_t draw) {
    return static_cast<std::int64_t>(1 + philox(3, draw, 0)[0] % 100);
  };
  const Packer packer(Packing::stream, 64, 3, length, 50);
  PackedPiece last;
  bool first = true;
  for (std::int64_t slot = 0;; ++slot) {
    const auto rows = packer.slot(slot);
    if (rows.empty()) break;
    for (const PackedRow& row : rows) {
      std::int64_t sum = 0;
      for (const PackedPiece& piece : row) {
        if (!first && piece.begin != 0) {
          EXPECT_TRUE(piece.draw == last.draw && piece.begin == last.end);
        }
        if (!first && piece.begin == 0) {
          EXPECT_TRUE(piece.draw == last.draw + 1);
        }
        last = piece;
        first = false;
        sum += piece.end - piece.begin;
      }
      EXPECT_TRUE(sum == 64 || last.draw == 49u);
    }
  }
  EXPECT_EQ(last.draw, 49u);
  EXPECT_EQ(last.end, length(49));
}

using DatasetSlots = DataTest;

void expect_equal(const TokenBatch& a, const TokenBatch& b) {
  EXPECT_EQ(a.tokens, b.tokens);
  EXPECT_EQ(a.positions, b.positions);
  EXPECT_EQ(a.starts, b.starts);
  EXPECT_EQ(a.rows, b.rows);
  EXPECT_EQ(a.targets, b.targets);
  EXPECT_EQ(a.targets2, b.targets2);
  EXPECT_EQ(a.loss_weight, b.loss_weight);
}

void check_batch(const TokenBatch& batch, const DatasetOptions& options) {
  const auto T = static_cast<std::int32_t>(batch.tokens.size());
  for (const auto* bounds : {&batch.starts, &batch.rows, &batch.documents}) {
    ASSERT_EQ(bounds->front(), 0);
    ASSERT_EQ(bounds->back(), T);
    ASSERT_TRUE(std::is_sorted(bounds->begin(), bounds->end()));
  }
  EXPECT_EQ(batch.starts, options.attend == Attend::row ? batch.rows : batch.documents);
  for (std::size_t r = 0; r + 1 < batch.rows.size(); ++r) {
    EXPECT_LE(batch.rows[r + 1] - batch.rows[r], options.seq_len);
  }
  for (std::size_t s = 0; s + 1 < batch.starts.size(); ++s) {
    const std::int32_t begin = batch.starts[s], end = batch.starts[s + 1];
    for (std::int32_t t = begin; t < end; ++t) {
      const auto i = static_cast<std::size_t>(t);
      ASSERT_EQ(batch.positions[i], t - begin);
      ASSERT_EQ(batch.targets[i], t + 1 < end ? batch.tokens[i + 1] : kNoTarget);
      ASSERT_EQ(batch.targets2[i], t + 2 < end ? batch.tokens[i + 2] : kNoTarget);
      if (batch.targets[i] == kNoTarget) {
        ASSERT_EQ(batch.loss_weight[i], 0);
      }
      if (batch.targets2[i] == kNoTarget) {
        ASSERT_EQ(batch.loss_weight2[i], 0);
      }
    }
  }
}

TEST_F(DatasetSlots, ASlotIsAPureFunctionOfItsIndex) {
  const DataFolder data = folder({{"a", 3}, {"b", 1}});
  for (const Packing packing : {Packing::whole, Packing::stream}) {
    for (const Attend attend : {Attend::document, Attend::row}) {
      DatasetOptions options;
      options.seed = 5;
      options.seq_len = 64;
      options.slot_rows = 4;
      options.packing = packing;
      options.attend = attend;
      options.bos = kBos;
      options.eos = kEos;
      options.fim = Fim{0.3, 990, 991, 992};
      const Dataset dataset(data, options);
      std::vector<TokenBatch> slots;
      for (std::int64_t i = 0; i < 150; ++i) {
        slots.push_back(dataset.slot(i));
        check_batch(slots.back(), options);
      }
      const Dataset again(data, options);
      for (const std::int64_t i : {149, 0, 77, 64}) {
        expect_equal(again.slot(i), slots[static_cast<std::size_t>(i)]);
      }
      options.seed = 6;
      EXPECT_NE(Dataset(data, options).slot(0).tokens, slots[0].tokens);
    }
  }
}

TEST_F(DatasetSlots, ConcurrentReadersSeeTheSame) {
  const DataFolder data = folder({{"a", 3}, {"b", 1}});
  DatasetOptions options;
  options.seq_len = 64;
  options.slot_rows = 2;
  const Dataset dataset(data, options), reference(data, options);
  std::vector<std::thread> threads;
  std::vector<std::vector<TokenBatch>> found(3);
  for (std::size_t k = 0; k < 3; ++k) {
    threads.emplace_back([&, k] {
      for (std::int64_t i = 0; i < 90; ++i) found[k].push_back(dataset.slot((i * 37 + 11) % 90));
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (std::int64_t i = 0; i < 90; ++i) {
    const TokenBatch expected = reference.slot((i * 37 + 11) % 90);
    for (const auto& batches : found) {
      EXPECT_EQ(batches[static_cast<std::size_t>(i)].tokens, expected.tokens);
    }
  }
}

// One source, no FIM: each epoch has every document once, in another order.
TEST_F(DatasetSlots, AnEpochHasEveryDocumentOnce) {
  const DataFolder data = folder({{"a", 1}}, 100, 30);
  DatasetOptions options;
  options.seq_len = 31;
  options.slot_rows = 1;
  options.eos = kEos;
  options.packing = Packing::stream;
  const Dataset dataset(data, options);
  std::vector<std::int32_t> tokens;
  const std::size_t per_epoch = data.sources[0].tokens(DataSplit::train) + 150;
  for (std::int64_t i = 0; tokens.size() < 2 * per_epoch; ++i) {
    const TokenBatch batch = dataset.slot(i);
    tokens.insert(tokens.end(), batch.tokens.begin(), batch.tokens.end());
  }
  std::vector<std::multiset<std::vector<std::int32_t>>> epochs(2);
  std::vector<std::vector<std::int32_t>> order;
  std::vector<std::int32_t> document;
  for (std::size_t i = 0; i < 2 * per_epoch; ++i) {
    if (tokens[i] != kEos) {
      document.push_back(tokens[i]);
      continue;
    }
    order.push_back(document);
    epochs[i / per_epoch].insert(document);
    document.clear();
  }
  EXPECT_EQ(order.size(), 300u);
  EXPECT_EQ(epochs[0], epochs[1]);
  EXPECT_FALSE(std::equal(order.begin(), order.begin() + 150, order.begin() + 150));
}

TEST_F(DatasetSlots, MixtureIsByTokens) {
  DataFolder data;
  data.path = folder_.string();
  data.vocabulary = kVocabulary;
  for (const auto& [name, longest] : {std::pair("short", 10), std::pair("long", 60)}) {
    DataSource source;
    source.name = name;
    source.train.push_back(shard(name, 300, static_cast<std::uint64_t>(longest)));
    data.sources.push_back(std::move(source));
  }
  DatasetOptions options;
  options.seq_len = 64;
  options.slot_rows = 4;
  options.weights = {{"short", 1}, {"long", 3}};
  const Dataset dataset(data, options);
  const auto uses = dataset.use_before(200);
  std::vector<double> tokens;
  for (std::size_t s = 0; s < 2; ++s) {
    tokens.push_back(uses[s].epochs() *
                     static_cast<double>(data.sources[s].tokens(DataSplit::train)));
  }
  EXPECT_NEAR(tokens[1] / tokens[0], 3, 0.1);
  EXPECT_NEAR(uses[1].weight, 0.75, 1e-9);
  options.weights = {{"nobody", 1}};
  EXPECT_THROW(Dataset(data, options), Error);
  options.weights = {{"short", 0}};
  EXPECT_EQ(Dataset(data, options).use_before(0).size(), 1u);
}

TEST_F(DatasetSlots, FimKeepsTheDocument) {
  const DataFolder data = folder({{"a", 1}}, 200, 40);
  DatasetOptions options;
  options.seq_len = 50;
  options.eos = kEos;
  options.fim = Fim{1.0, 990, 991, 992};
  const Dataset dataset(data, options);
  int with_fim = 0;
  for (std::int64_t i = 0; i < 200; ++i) {
    const TokenBatch batch = dataset.slot(i);
    for (std::size_t d = 0; d + 1 < batch.documents.size(); ++d) {
      std::vector<std::int32_t> t(batch.tokens.begin() + batch.documents[d],
                                  batch.tokens.begin() + batch.documents[d + 1] - 1);
      if (t.front() != 990) continue;
      ++with_fim;
      const auto hole = std::find(t.begin(), t.end(), 991),
                 end = std::find(t.begin(), t.end(), 992);
      ASSERT_TRUE(hole < end && end < t.end());
      std::vector<std::int32_t> original(t.begin() + 1, hole);
      original.insert(original.end(), end + 1, t.end());
      original.insert(original.end(), hole + 1, end);
      for (std::size_t k = 1; k < original.size(); ++k) {
        ASSERT_EQ(original[k] % 900, (original[0] + static_cast<std::int32_t>(k)) % 900);
      }
    }
  }
  EXPECT_GT(with_fim, 100);
}

TEST_F(DatasetSlots, ChatsBearLossOnTheirRunsAlone) {
  DataFolder data;
  data.path = folder_.string();
  data.vocabulary = kVocabulary;
  data.sources.resize(1);
  data.sources[0].name = "chat";
  data.sources[0].train.push_back(shard("chat", 100, 60, DocumentKind::chat));
  DatasetOptions options;
  options.seq_len = 40;
  options.bos = kBos;
  options.eos = kEos;
  const Dataset dataset(data, options);
  EXPECT_GT(dataset.cut_chats(), 0u);
  double weight = 0, count = 0;
  for (std::int64_t i = 0; i < 50; ++i) {
    const TokenBatch batch = dataset.slot(i);
    check_batch(batch, options);
    EXPECT_EQ(std::count(batch.tokens.begin(), batch.tokens.end(), kEos), 0);
    weight += std::accumulate(batch.loss_weight.begin(), batch.loss_weight.end(), 0.0);
    count += static_cast<double>(batch.size());
    // Within a document the weights rise once, at its middle.
    for (std::size_t d = 0; d + 1 < batch.documents.size(); ++d) {
      const auto begin = batch.loss_weight.begin() + batch.documents[d];
      const auto end = batch.loss_weight.begin() + batch.documents[d + 1] - 1;
      EXPECT_TRUE(std::is_sorted(begin, end));
    }
  }
  EXPECT_NEAR(weight / count, 0.45, 0.1);
}

TEST_F(DatasetSlots, HeldOutOnce) {
  const DataFolder data = folder({{"a", 1}});
  DatasetOptions options;
  options.seq_len = 30;
  options.slot_rows = 2;
  options.eos = kEos;
  std::int64_t tokens = 0, ends = 0;
  for (const TokenBatch& batch : held_out_batches(data, "a", options, 0)) {
    check_batch(batch, options);
    tokens += batch.size();
    ends += std::count(batch.tokens.begin(), batch.tokens.end(), kEos);
  }
  EXPECT_EQ(ends, 20);
  EXPECT_EQ(tokens, static_cast<std::int64_t>(data.sources[0].tokens(DataSplit::held_out)) + 20);
  EXPECT_THROW(held_out_batches(data, "b", options, 0), Error);
  std::int64_t some = 0;
  for (const TokenBatch& batch : held_out_batches(data, "a", options, 100)) some += batch.size();
  EXPECT_TRUE(some >= 100 && some < 160) << some;
}

}  // namespace
}  // namespace nautile::train
