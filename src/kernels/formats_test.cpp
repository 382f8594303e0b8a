// formats_test.cpp — unpacking: against foreign implementations, across tables, at the edges.
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <new>
#include <string>
#include <vector>

#include "base/cpu_features_testing.h"
#include "base/f8.h"
#include "kernels/formats_testing.h"

namespace nautile::kernels {
namespace {

using testing::same;

constexpr float kUntouched = 12345.0f;

class Formats : public ::testing::TestWithParam<Isa> {
 protected:
  const Kernels& kernels() const { return table(GetParam()); }
};

INSTANTIATE_TEST_SUITE_P(Tables, Formats, ::testing::ValuesIn(testing_tools::tables_to_try()),
                         [](const auto& param) { return std::string(name(param.param)); });

// Memory that ends `slack` bytes before an unreadable page, so that reading beyond a block is
// fatal.
class GuardedBytes {
 public:
  GuardedBytes(const std::vector<std::byte>& bytes, int slack) {
    const std::size_t page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
    const std::size_t body = (bytes.size() + 2 * page - 1) / page * page;
    length_ = body + page;
    void* map = mmap(nullptr, length_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (map == MAP_FAILED) throw std::bad_alloc();
    map_ = static_cast<std::byte*>(map);
    mprotect(map_ + body, page, PROT_NONE);
    data_ = map_ + body - bytes.size() - slack;
    std::memcpy(data_, bytes.data(), bytes.size());
  }
  GuardedBytes(const GuardedBytes&) = delete;
  GuardedBytes& operator=(const GuardedBytes&) = delete;
  ~GuardedBytes() { munmap(map_, length_); }
  const std::byte* data() const { return data_; }

 private:
  std::size_t length_;
  std::byte* map_;
  std::byte* data_;
};

void expect_same(const std::vector<float>& got, const float* wanted, const std::string& what) {
  for (std::size_t i = 0; i < got.size(); ++i) {
    ASSERT_TRUE(same(got[i], wanted[i]))
        << what << " column " << i << ": " << got[i] << ", expected " << wanted[i];
  }
}

TEST_P(Formats, EqualForeignImplementationsToTheBit) {
  int seen = 0;
  for (const testing::Record& record : testing::read_records()) {
    const auto format = format_by_name(record.name);
    if (!format) continue;
    const int count = static_cast<int>(record.floats.size());
    ASSERT_EQ(row_bytes(*format, record.floats.size()), record.bytes.size()) << record.name;
    expect_same(testing::unpacked(kernels(), *format, record.bytes.data(), count),
                record.floats.data(), record.name);
    ++seen;
  }
  EXPECT_EQ(seen, 15);  // every weight format but F32
}

// The integers of one row, as a panel holds them: scale and offset of the groups 16 floats apart.
struct Integers {
  std::vector<std::int8_t> q;
  std::vector<float> scale, offset;

  Integers(const FormatKernels& format, const std::byte* blocks, int count)
      : q(static_cast<std::size_t>(count)),
        scale(static_cast<std::size_t>(count / format.group * kPanelRows), kUntouched),
        offset(scale) {
    format.i8(blocks, count, q.data(), scale.data(), offset.data());
  }
};

TEST_P(Formats, IntegersGiveTheSameValuesToTheBit) {
  constexpr int kCount = 4096;
  for (const Format format : testing::weight_formats()) {
    const FormatKernels& kernel = kernels().format(format);
    ASSERT_EQ(kernel.i8 != nullptr, is_quantized(format)) << info(format).name;
    if (!kernel.i8) continue;
    const auto blocks = testing::random_bytes(row_bytes(format, kCount), 7);
    const auto values = testing::unpacked(kernels(), format, blocks.data(), kCount);
    const Integers whole(kernel, blocks.data(), kCount);
    std::vector<float> product(kCount);
    for (std::size_t c = 0; c < kCount; ++c) {
      const std::size_t at = c / static_cast<std::size_t>(kernel.group) * kPanelRows;
      product[c] = whole.scale[at] * static_cast<float>(whole.q[c]);
      if (kernel.offsets == Offsets::per_group) product[c] += whole.offset[at];
    }
    expect_same(product, values.data(), std::string(info(format).name));
  }
}

TEST_P(Formats, WriteOnlyTheirOwnColumnOfScales) {
  constexpr int kCount = 512;
  for (const Format format : testing::weight_formats()) {
    const FormatKernels& kernel = kernels().format(format);
    if (!kernel.i8) continue;
    const auto blocks = testing::random_bytes(row_bytes(format, kCount), 8);
    const Integers whole(kernel, blocks.data(), kCount);
    for (std::size_t i = 0; i < whole.scale.size(); ++i) {
      const bool own = i % kPanelRows == 0;
      const bool has_offset = own && kernel.offsets == Offsets::per_group;
      EXPECT_EQ(whole.scale[i] != kUntouched, own) << info(format).name << " scale " << i;
      EXPECT_EQ(whole.offset[i] != kUntouched, has_offset) << info(format).name << " offset " << i;
    }
  }
}

TEST_P(Formats, EqualTheReferenceForAnyRunAtAnyAddress) {
  const Kernels& reference = table(Isa::reference);
  for (const Format format : testing::weight_formats()) {
    const int block = info(format).block;
    for (int blocks = 1; blocks <= (block == 1 ? 70 : 9); ++blocks) {
      const int count = blocks * block;
      const std::size_t size = row_bytes(format, static_cast<std::size_t>(count));
      const auto bytes = testing::random_bytes(size, static_cast<std::uint32_t>(blocks));
      const GuardedBytes guarded(bytes, blocks % 2);  // odd addresses too
      const auto wanted = testing::unpacked(reference, format, bytes.data(), count);
      std::vector<float> got(static_cast<std::size_t>(count) + 64, kUntouched);
      kernels().format(format).f32(guarded.data(), count, got.data());
      for (std::size_t i = wanted.size(); i < got.size(); ++i) ASSERT_EQ(got[i], kUntouched);
      got.resize(wanted.size());
      expect_same(got, wanted.data(), std::string(info(format).name));
    }
  }
}

TEST_P(Formats, IntegersEqualTheReferenceForAnyRunAtAnyAddress) {
  for (const Format format : testing::weight_formats()) {
    const FormatKernels& kernel = kernels().format(format);
    const FormatKernels& reference = table(Isa::reference).format(format);
    EXPECT_EQ(kernel.group, reference.group);
    EXPECT_EQ(kernel.offsets, reference.offsets);
    if (!kernel.i8) continue;
    for (int blocks = 1; blocks <= 9; ++blocks) {
      const int count = blocks * info(format).block;
      const std::size_t size = row_bytes(format, static_cast<std::size_t>(count));
      const auto bytes = testing::random_bytes(size, static_cast<std::uint32_t>(blocks));
      const GuardedBytes guarded(bytes, blocks % 2);
      const Integers wanted(reference, bytes.data(), count);
      const Integers got(kernel, guarded.data(), count);
      ASSERT_EQ(got.q, wanted.q) << info(format).name;
      expect_same(got.scale, wanted.scale.data(), std::string(info(format).name) + " scale");
      expect_same(got.offset, wanted.offset.data(), std::string(info(format).name) + " offset");
    }
  }
}

TEST_P(Formats, EveryHalfAndEveryBrainFloat) {
  std::vector<std::uint16_t> all(65536);
  for (std::size_t i = 0; i < all.size(); ++i) all[i] = static_cast<std::uint16_t>(i);
  const std::byte* bytes = reinterpret_cast<const std::byte*>(all.data());
  const auto halves = testing::unpacked(kernels(), Format::f16, bytes, 65536);
  const auto brains = testing::unpacked(kernels(), Format::bf16, bytes, 65536);
  for (std::size_t i = 0; i < all.size(); ++i) {
    ASSERT_TRUE(same(halves[i], half_to_float(all[i]))) << i;
    ASSERT_TRUE(same(brains[i], to_float(bf16{all[i]}))) << i;
  }
}

TEST_P(Formats, EveryE4M3) {
  std::vector<std::byte> all(256);
  for (std::size_t i = 0; i < all.size(); ++i) all[i] = static_cast<std::byte>(i);
  const auto values = testing::unpacked(kernels(), Format::f8_e4m3, all.data(), 256);
  for (std::size_t i = 0; i < all.size(); ++i) {
    ASSERT_TRUE(same(values[i], f8_e4m3_to_float(static_cast<std::uint8_t>(i)))) << i;
  }
  EXPECT_EQ(values[0x7e], 448.0f);
  EXPECT_NE(values[0x7f], values[0x7f]);
  EXPECT_EQ(values[0x01], 0x1p-9f);
  EXPECT_TRUE(std::signbit(values[0x80]));
}

}  // namespace
}  // namespace nautile::kernels
