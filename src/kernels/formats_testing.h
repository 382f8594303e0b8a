// formats_testing.h — what the tests of formats share: the committed records, tables, random
// blocks.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "base/bf16.h"
#include "base/file.h"
#include "base/format.h"
#include "kernels/kernels.h"

namespace nautile::kernels::testing {

inline std::vector<Format> weight_formats() {
  std::vector<Format> formats;
  for (int i = 0; i < kFormatCount; ++i) {
    if (static_cast<Format>(i) != Format::i32) formats.push_back(static_cast<Format>(i));
  }
  return formats;
}

// Bytes and the floats they stand for; see tools/oracle/formats_oracle.py.
struct Record {
  std::string name;
  std::vector<std::byte> bytes;
  std::vector<float> floats;
};

inline std::vector<Record> read_records() {
  const std::string text = read_file("tests/data/formats.bin");
  std::vector<Record> records;
  for (std::size_t at = 0; at < text.size();) {
    std::uint32_t sizes[2];
    std::memcpy(sizes, text.data() + at + 24, 8);
    Record record = {text.c_str() + at, std::vector<std::byte>(sizes[0]),
                     std::vector<float>(sizes[1])};
    at += 32;
    std::memcpy(record.bytes.data(), text.data() + at, sizes[0]);
    at += sizes[0];
    std::memcpy(record.floats.data(), text.data() + at, std::size_t{sizes[1]} * 4);
    at += std::size_t{sizes[1]} * 4;
    records.push_back(std::move(record));
  }
  return records;
}

inline std::uint32_t bits_of(float value) {
  std::uint32_t bits;
  std::memcpy(&bits, &value, 4);
  return bits;
}

// Equal to the bit, where any NaN equals any other.
inline bool same(float a, float b) {
  return bits_of(a) == bits_of(b) || (a != a && b != b);  // NOLINT
}

// Random bytes are valid blocks of any format; scales may be infinite or NaN.
inline std::vector<std::byte> random_bytes(std::size_t count, std::uint32_t seed) {
  std::mt19937 random(seed);
  std::vector<std::byte> bytes(count);
  for (std::byte& b : bytes) b = static_cast<std::byte>(random() & 255u);
  return bytes;
}

inline std::vector<float> gaussian(std::size_t count, float deviation, std::uint32_t seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> draw(0.0f, deviation);
  std::vector<float> x(count);
  for (float& value : x) value = draw(random);
  return x;
}

inline std::vector<float> unpacked(const Kernels& kernels, Format format, const std::byte* blocks,
                                   int count) {
  std::vector<float> out(static_cast<std::size_t>(count));
  kernels.format(format).f32(blocks, count, out.data());
  return out;
}

}  // namespace nautile::kernels::testing
