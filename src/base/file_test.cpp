#include "base/file.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdio>
#include <filesystem>

#include "base/bf16.h"
#include "base/error.h"
#include "base/f8.h"

namespace nautile {
namespace {

TEST(File, WritesAtomicallyAndMaps) {
  const std::string path = ::testing::TempDir() + "nautile_file_test.bin";
  write_file_atomic(path, "hello");
  write_file_atomic(path, "hello, world");
  EXPECT_EQ(read_file(path), "hello, world");
  MappedFile map(path);
  EXPECT_EQ(map.bytes().size(), 12u);
  MappedFile moved = std::move(map);
  EXPECT_EQ(static_cast<char>(moved.bytes()[7]), 'w');
  EXPECT_THROW(read_file(path, 3), Error);
  std::filesystem::remove(path);
}

TEST(File, ErrorsNameThePath) {
  try {
    MappedFile map("/nonexistent/file");
    FAIL();
  } catch (const Error& e) {
    EXPECT_NE(std::string(e.what()).find("/nonexistent/file"), std::string::npos);
  }
  EXPECT_THROW(MappedFile("/tmp"), Error);
}

TEST(Floats, HalfRoundTripsAllBits) {
  for (std::uint32_t h = 0; h < 65536; ++h) {
    const float f = half_to_float(static_cast<std::uint16_t>(h));
    if (std::isnan(f)) continue;
    EXPECT_EQ(float_to_half(f), h) << h;
  }
  EXPECT_EQ(float_to_half(65520.0f), 0x7c00);
  EXPECT_EQ(float_to_half(65519.0f), 0x7bff);
}

TEST(Floats, F8RoundTripsAllBitsAndRoundsToNearestEven) {
  for (int b = 0; b < 256; ++b) {
    const float f = f8_e4m3_to_float(static_cast<std::uint8_t>(b));
    if (std::isnan(f)) continue;
    EXPECT_EQ(float_to_f8_e4m3(f), b);
  }
  for (int b = 0; b < 126; ++b) {  // the midpoint goes to the even code
    const float low = f8_e4m3_to_float(static_cast<std::uint8_t>(b));
    const float high = f8_e4m3_to_float(static_cast<std::uint8_t>(b + 1));
    EXPECT_EQ(float_to_f8_e4m3((low + high) / 2), b % 2 ? b + 1 : b);
  }
  EXPECT_EQ(float_to_f8_e4m3(1e9f), 0x7e);
  EXPECT_EQ(f8_e8m0_to_float(127), 1.0f);
  EXPECT_EQ(f8_e8m0_to_float(0), 0x1p-127f);
}

TEST(Floats, Bf16RoundsToNearestEven) {
  EXPECT_EQ(to_bf16(1.00390625f).bits, 0x3f80);  // half way, even below
  EXPECT_EQ(to_bf16(1.01171875f).bits, 0x3f82);  // half way, even above
  EXPECT_TRUE(std::isnan(to_float(to_bf16(NAN))));
}

TEST(Error, PrintsOutermostContextFirst) {
  const Error e = make_error(ErrorKind::bad_input, "tensor {}: expected 3, found 4", "x")
                      .with("while reading {}", "f")
                      .with("cannot load model")
                      .hint("try {}", 1);
  EXPECT_STREQ(
      e.what(),
      "cannot load model\n  while reading f\n  tensor x: expected 3, found 4\n  hint: try 1");
}

}  // namespace
}  // namespace nautile
