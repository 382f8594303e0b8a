#include "base/file.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmath>
#include <csignal>
#include <cstdio>
#include <filesystem>

#include "base/bf16.h"
#include "base/error.h"
#include "base/f8.h"

namespace nautile {
namespace {

TEST(File, WritesAtomicallyAndMaps) {
  const std::string path = ::testing::TempDir() + "nautile_file_test_" + std::to_string(::getpid());
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

// An empty folder for one test.
class AtomicWriterTest : public ::testing::Test {
 protected:
  AtomicWriterTest() {
    std::filesystem::remove_all(folder_);
    std::filesystem::create_directories(folder_);
  }
  ~AtomicWriterTest() override { std::filesystem::remove_all(folder_); }

  std::size_t files() const {
    const std::filesystem::directory_iterator all(folder_);
    return static_cast<std::size_t>(std::distance(begin(all), end(all)));
  }

  const std::string folder_ = ::testing::TempDir() + "nautile_writer_" + std::to_string(::getpid());
  const std::string path_ = folder_ + "/file";
};

TEST_F(AtomicWriterTest, PiecesOfAnySizeComeOutInOrder) {
  std::string expected;
  AtomicWriter writer(path_);
  for (const std::size_t size : {1u, 300u, (1u << 20) - 301u, 1u, 1u << 20, 3u << 20, 5u, 0u}) {
    const std::string piece(size, static_cast<char>('a' + expected.size() % 26));
    writer.append(piece);
    expected += piece;
  }
  writer.append_zeros(1000);
  expected += std::string(1000, '\0');
  EXPECT_EQ(writer.size(), expected.size());
  EXPECT_FALSE(std::filesystem::exists(path_));
  writer.commit();
  EXPECT_TRUE(read_file(path_) == expected);
  EXPECT_EQ(files(), 1u);
}

TEST_F(AtomicWriterTest, LeavesNothingWithoutACommit) {
  write_file_atomic(path_, "old");
  {
    AtomicWriter writer(path_);
    writer.append(std::string(2 << 20, 'x'));
  }
  EXPECT_EQ(read_file(path_), "old");
  EXPECT_EQ(files(), 1u);
}

TEST_F(AtomicWriterTest, TwoWritersOfOnePathDoNotMix) {
  AtomicWriter first(path_), second(path_);
  first.append("first");
  second.append("second");
  first.commit();
  EXPECT_EQ(read_file(path_), "first");
  second.commit();
  EXPECT_EQ(read_file(path_), "second");
  EXPECT_EQ(files(), 1u);
}

// A limit on the size of files stops a write half way, as a full disk does: the call before the
// failing one takes a part of its bytes.
TEST_F(AtomicWriterTest, AShortWriteIsAnErrorAndLeavesTheOldFile) {
  write_file_atomic(path_, "old");
  const auto before = std::signal(SIGXFSZ, SIG_IGN);
  rlimit old_limit = {};
  getrlimit(RLIMIT_FSIZE, &old_limit);
  const rlimit limit = {(1 << 20) + 100, old_limit.rlim_max};
  setrlimit(RLIMIT_FSIZE, &limit);
  std::string message;
  try {
    AtomicWriter writer(path_);
    writer.append(std::string(2 << 20, 'x'));
    writer.commit();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::failure);
    message = error.what();
  }
  setrlimit(RLIMIT_FSIZE, &old_limit);
  std::signal(SIGXFSZ, before);
  EXPECT_EQ(message, "cannot write " + path_ + ": File too large (after 1048676 bytes of it)");
  EXPECT_EQ(read_file(path_), "old");
  EXPECT_EQ(files(), 1u);
}

TEST_F(AtomicWriterTest, ANameThatCannotBeTakenIsAnError) {
  EXPECT_THROW(AtomicWriter(folder_ + "/none/file"), Error);
  std::filesystem::create_directories(path_);  // a folder has the name
  AtomicWriter writer(path_);
  EXPECT_THROW(writer.commit(), Error);
  EXPECT_TRUE(std::filesystem::is_directory(path_));
}

TEST_F(AtomicWriterTest, ALinkIsFollowedAndADeviceWrittenTo) {
  write_file_atomic(path_, "old");
  const std::string link = folder_ + "/link", fresh = folder_ + "/fresh";
  std::filesystem::create_symlink(std::filesystem::path(path_).filename(), link);
  write_file_atomic(link, "new");
  EXPECT_TRUE(std::filesystem::is_symlink(link));
  EXPECT_EQ(read_file(path_), "new");
  std::filesystem::create_symlink("fresh", folder_ + "/dangling");
  write_file_atomic(folder_ + "/dangling", "there now");
  EXPECT_EQ(read_file(fresh), "there now");
  std::filesystem::create_symlink("/dev/null", folder_ + "/nothing");
  write_file_atomic(folder_ + "/nothing", "gone");
  EXPECT_TRUE(std::filesystem::is_character_file("/dev/null"));
  EXPECT_TRUE(std::filesystem::is_symlink(folder_ + "/nothing"));
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
