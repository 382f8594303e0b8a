// Thousands of broken files through every parser of this folder: each is read or refused with an
// Error that names the file; nothing crashes, nothing takes much memory. NAUTILE_MUTATIONS sets how
// many.
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <string>

#include "base/json.h"
#include "base/sanitizer.h"
#include "store/gguf.h"
#include "store/hf_folder.h"
#include "store/safetensors.h"
#include "store/test_bytes.h"
#include "store/weight_store.h"

namespace nautile::store {
namespace {

using test::Bytes;

int mutation_count() {
  const char* said = std::getenv("NAUTILE_MUTATIONS");
  return said ? std::max(1, std::atoi(said)) : 2000;
}

// splitmix64: the same sequence from a seed everywhere.
class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed * 0x9e3779b97f4a7c15u + 1) {}
  std::uint64_t next() {
    std::uint64_t z = (state_ += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
  }
  std::size_t below(std::size_t bound) {
    return bound ? static_cast<std::size_t>(next() % bound) : 0;
  }

 private:
  std::uint64_t state_;
};

constexpr std::array<std::uint64_t, 14> kHostile = {0,
                                                    1,
                                                    2,
                                                    7,
                                                    31,
                                                    255,
                                                    65535,
                                                    0x7fffffff,
                                                    0xffffffff,
                                                    0x100000000,
                                                    std::uint64_t{1} << 40,
                                                    std::uint64_t{1} << 62,
                                                    std::uint64_t{1} << 63,
                                                    ~std::uint64_t{0}};

void overwrite(Bytes& bytes, Random& random) {
  const std::uint64_t value = kHostile[random.below(kHostile.size())] + random.below(3) - 1;
  const std::size_t size = std::size_t{1} << random.below(4);
  if (bytes.size() < size) return;
  std::memcpy(bytes.data() + random.below(bytes.size() - size + 1), &value, size);
}

void splice(Bytes& bytes, const Bytes& from, Random& random) {
  if (from.empty() || bytes.empty()) return;
  const std::size_t start = random.below(from.size());
  const std::size_t size = 1 + random.below(std::min<std::size_t>(64, from.size() - start));
  const auto first = from.begin() + static_cast<std::ptrdiff_t>(start);
  const auto at = bytes.begin() + static_cast<std::ptrdiff_t>(random.below(bytes.size()));
  const Bytes piece(first, first + static_cast<std::ptrdiff_t>(size));
  if (random.below(2)) {
    bytes.insert(at, piece.begin(), piece.end());
  } else {
    std::copy_n(piece.begin(), std::min<std::ptrdiff_t>(std::ssize(piece), bytes.end() - at), at);
  }
}

void erase(Bytes& bytes, Random& random) {
  if (bytes.empty()) return;
  const std::size_t start = random.below(bytes.size());
  const std::size_t size = 1 + random.below(std::min<std::size_t>(16, bytes.size() - start));
  const auto first = bytes.begin() + static_cast<std::ptrdiff_t>(start);
  bytes.erase(first, first + static_cast<std::ptrdiff_t>(size));
}

// Replaces a run of decimal digits: the numbers of a JSON text.
void renumber(Bytes& bytes, Random& random) {
  const auto digit = [&](std::size_t i) {
    return bytes[i] >= std::byte{'0'} && bytes[i] <= std::byte{'9'};
  };
  std::vector<std::size_t> starts;
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    if (digit(i) && (i == 0 || !digit(i - 1))) starts.push_back(i);
  }
  if (starts.empty()) return;
  const std::size_t start = starts[random.below(starts.size())];
  std::size_t end = start;
  while (end < bytes.size() && digit(end)) ++end;
  static constexpr std::array<std::string_view, 4> kOdd = {"-1", "1e400", "0.5",
                                                           "99999999999999999999"};
  const std::size_t choice = random.below(kHostile.size() + kOdd.size());
  const std::string text = choice < kHostile.size() ? std::to_string(kHostile[choice])
                                                    : std::string(kOdd[choice - kHostile.size()]);
  const auto first = bytes.erase(bytes.begin() + static_cast<std::ptrdiff_t>(start),
                                 bytes.begin() + static_cast<std::ptrdiff_t>(end));
  const auto view = test::view(text);
  bytes.insert(first, view.begin(), view.end());
}

// Changes inside the first `focus` bytes are as likely as anywhere: that is where the structure is.
Bytes mutate(const Bytes& base, const Bytes& other, std::size_t focus, std::uint64_t seed) {
  Random random(seed);
  Bytes bytes = base;
  Bytes tail;
  if (random.below(2) && focus < bytes.size()) {
    tail.assign(bytes.begin() + static_cast<std::ptrdiff_t>(focus), bytes.end());
    bytes.resize(focus);
  }
  const std::size_t changes = 1 + random.below(4);
  for (std::size_t i = 0; i < changes; ++i) {
    switch (random.below(7)) {
      case 0:
        if (!bytes.empty())
          bytes[random.below(bytes.size())] ^= static_cast<std::byte>(1u << random.below(8));
        break;
      case 1:
        if (!bytes.empty())
          bytes[random.below(bytes.size())] = static_cast<std::byte>(random.next());
        break;
      case 2:
        overwrite(bytes, random);
        break;
      case 3:
        splice(bytes, other, random);
        break;
      case 4:
        erase(bytes, random);
        break;
      case 5:
        renumber(bytes, random);
        break;
      default:
        if (random.below(4) == 0) tail.clear();
        if (random.below(4) == 0) bytes.resize(random.below(bytes.size() + 1));
    }
  }
  bytes.insert(bytes.end(), tail.begin(), tail.end());
  return bytes;
}

struct Outcome {
  int read = 0;
  int refused = 0;
};

// What an Error must say of a broken file, and how long it may be.
void expect_clear(const std::string& story, std::uint64_t seed) {
  EXPECT_NE(story.find("broken.file"), story.npos) << "seed " << seed << ": " << story;
  EXPECT_TRUE(story.find("at byte") != story.npos || story.find("is missing") != story.npos ||
              story.find("expected") != story.npos)
      << "seed " << seed << ": " << story;
  EXPECT_LT(story.size(), 8192u) << "seed " << seed;
}

template <class Read>
Outcome mutate_many(const Bytes& base, const Bytes& other, std::size_t focus, int count,
                    std::uint64_t salt, const Read& read) {
  Outcome outcome;
  for (int i = 0; i < count; ++i) {
    const std::uint64_t seed = salt * 1'000'000'007u + static_cast<std::uint64_t>(i);
    // An exact heap copy, so that a read past the end meets the sanitizer's red zone.
    const Bytes mutated = mutate(base, other, focus, seed);
    const auto copy = std::make_unique<std::byte[]>(mutated.size());
    std::copy(mutated.begin(), mutated.end(), copy.get());
    try {
      read(std::span<const std::byte>(copy.get(), mutated.size()));
      ++outcome.read;
    } catch (const Error& error) {
      ++outcome.refused;
      expect_clear(error.what(), seed);
    } catch (const std::exception& error) {
      ADD_FAILURE() << "seed " << seed << ": not an Error: " << error.what();
    }
  }
  return outcome;
}

long peak_kilobytes() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return usage.ru_maxrss;
}

// Files of a few kilobytes: whatever they claim, the process stays small. The sanitizer keeps freed
// memory in quarantine (256 MB), so its build gets a wider bound.
#if defined(NAUTILE_ASAN)
constexpr long kMostGrowth = 1024 * 1024;
#else
constexpr long kMostGrowth = 64 * 1024;
#endif

class Mutation : public ::testing::Test {
 protected:
  void SetUp() override { before_ = peak_kilobytes(); }
  void TearDown() override {
    EXPECT_LT(peak_kilobytes() - before_, kMostGrowth);
    std::printf("%d files: %d read, %d refused; memory grew by %ld kB\n",
                outcome_.read + outcome_.refused, outcome_.read, outcome_.refused,
                peak_kilobytes() - before_);
    EXPECT_GT(outcome_.refused, 0);
  }
  void add(Outcome outcome) {
    outcome_.read += outcome.read;
    outcome_.refused += outcome.refused;
  }
  Outcome outcome_;
  long before_ = 0;
};

void touch(const std::vector<TensorRecord>& tensors) {
  std::uint64_t sum = 0;
  for (const TensorRecord& tensor : tensors) {
    for (std::byte byte : tensor.data) sum += static_cast<unsigned>(byte);
    sum += static_cast<std::uint64_t>(tensor.shape.elements() + tensor.shape.rows());
  }
  volatile std::uint64_t sink = sum;
  (void)sink;
}

void use_gguf(std::span<const std::byte> bytes) {
  WeightStore store(GgufFile::from_bytes(bytes, "broken.file"));
  touch(store.tensors());
  const GgufFile& file = store.gguf();
  for (const auto& [key, value] : file.metadata()) {
    EXPECT_LT(value.str().size(), 1024u);
    if (!std::holds_alternative<GgufArray>(value.data)) continue;
    const GgufType type = std::get<GgufArray>(value.data).type;
    if (type == GgufType::string) {
      EXPECT_EQ(file.strings(key).size(), std::get<GgufArray>(value.data).count);
    } else if (type == GgufType::f32 || type == GgufType::f64) {
      file.floats(key);
    } else if (type != GgufType::array && type != GgufType::boolean && type != GgufType::u64) {
      file.integers(key);
    }
  }
  file.optional_u32("v.u8");
  file.optional_f32("v.f32");
  file.optional_string("general.architecture");
}

// A vocabulary-like file: long arrays of strings.
Bytes vocabulary_gguf() {
  test::ByteBuilder b;
  b.header(1, 3).key("general.architecture", GgufType::string).string("llama");
  b.key("tokenizer.ggml.tokens", GgufType::array)
      .number(static_cast<std::uint32_t>(GgufType::string));
  b.number<std::uint64_t>(200);
  for (int i = 0; i < 200; ++i) b.string("token" + std::to_string(i));
  b.key("tokenizer.ggml.token_type", GgufType::array)
      .number(static_cast<std::uint32_t>(GgufType::i32));
  b.number<std::uint64_t>(200);
  for (int i = 0; i < 200; ++i) b.number<std::int32_t>(1);
  b.tensor("t", {32}, 8, 0).align(32).zeros(34);
  return b.bytes();
}

TEST_F(Mutation, Gguf) {
  const Bytes rich = test::rich_gguf();
  const Bytes vocabulary = vocabulary_gguf();
  const std::size_t structure = rich.size() - 1288;
  const int count = mutation_count();
  add(mutate_many(rich, vocabulary, structure, count * 3 / 4, 1, use_gguf));
  add(mutate_many(vocabulary, rich, vocabulary.size(), count - count * 3 / 4, 2, use_gguf));
}

TEST_F(Mutation, Safetensors) {
  const Bytes rich = test::rich_safetensors();
  const std::size_t structure = 8 + test::kRichHeader.size();
  add(mutate_many(rich, rich, structure, mutation_count(), 3, [](std::span<const std::byte> bytes) {
    touch(SafetensorsFile::from_bytes(bytes, "broken.file").tensors());
  }));
}

constexpr std::string_view kConfig =
    R"({"architectures":["DeepseekV3ForCausalLM"],"first_k_dense_replace":3,
 "hidden_size":7168,"intermediate_size":18432,"kv_lora_rank":512,"model_type":"deepseek_v3","norm_topk_prob":true,
 "quantization_config":{"fmt":"e4m3","quant_method":"fp8","weight_block_size":[128,128]},"q_lora_rank":1536,
 "rms_norm_eps":1e-06,"rope_scaling":{"beta_fast":32,"factor":40,"mscale":1.0,"type":"yarn"},"rope_theta":10000})";

constexpr std::string_view kIndex = R"({"metadata":{"total_size":1369062772000},"weight_map":{
 "lm_head.weight":"model-00163-of-000163.safetensors","model.embed_tokens.weight":"model-00001-of-000163.safetensors",
 "model.layers.0.mlp.up_proj.weight":"model-00001-of-000163.safetensors","model.norm.weight":"model-00160-of-000163.safetensors"}})";

Bytes bytes_of(std::string_view text) {
  const auto view = test::view(text);
  return {view.begin(), view.end()};
}

std::string_view text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

TEST_F(Mutation, ConfigAndIndex) {
  const Bytes config = bytes_of(kConfig);
  const Bytes index = bytes_of(kIndex);
  const int count = std::max(1, mutation_count() / 8);
  add(mutate_many(config, index, config.size(), count, 4, [](std::span<const std::byte> bytes) {
    EXPECT_LT(parse_json(text_of(bytes), "broken.file").dump().size(), 65536u);
  }));
  add(mutate_many(index, config, index.size(), count, 5, [](std::span<const std::byte> bytes) {
    for (const auto& [tensor, file] : parse_index(text_of(bytes), "broken.file")) {
      EXPECT_EQ(file.find('/'), file.npos);
    }
  }));
}

}  // namespace
}  // namespace nautile::store
