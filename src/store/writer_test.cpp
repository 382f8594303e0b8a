#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>

#include "store/gguf.h"
#include "store/gguf_writer.h"
#include "store/safetensors.h"
#include "store/safetensors_writer.h"

namespace nautile::store {
namespace {

using ::testing::ElementsAre;

std::vector<std::byte> ramp(std::size_t size, int start) {
  std::vector<std::byte> bytes(size);
  for (std::size_t i = 0; i < size; ++i)
    bytes[i] = static_cast<std::byte>(start + static_cast<int>(i));
  return bytes;
}

bool same(std::span<const std::byte> a, std::span<const std::byte> b) {
  return a.size() == b.size() && (a.empty() || std::memcmp(a.data(), b.data(), a.size()) == 0);
}

TEST(Writers, GgufReadsBackAsWritten) {
  const std::string path =
      ::testing::TempDir() + "nautile_writer_test_" + std::to_string(::getpid()) + ".gguf";
  GgufMetadata metadata;
  metadata.string("general.architecture", "llama");
  metadata.u32("llama.block_count", 2);
  metadata.f32("llama.x", 1e-5f);
  metadata.boolean("b", true);
  metadata.i32("i", -3);
  metadata.u16("split.no", 0);
  metadata.strings("s", std::vector<std::string>{"a", "", "Ġthe"});
  metadata.i32s("t", std::vector<std::int32_t>{1, -2});
  metadata.f32s("f", std::vector<float>{0.5f});
  const auto norm = ramp(12, 1);
  const auto matrix = ramp(2 * 34, 7);
  {
    GgufWriter writer(
        path, metadata,
        {{"norm", Format::f32, {3}}, {"none", Format::f32, {0}}, {"w", Format::q8_0, {2, 32}}});
    EXPECT_EQ(writer.data_bytes(), 80u);
    writer.append(norm);
    writer.append(std::span(matrix).first(10));
    EXPECT_FALSE(std::filesystem::exists(path));
    writer.append(std::span(matrix).subspan(10));
    writer.finish();
  }
  const GgufFile file = GgufFile::open(path);
  EXPECT_EQ(file.u32("llama.block_count"), 2u);
  EXPECT_EQ(file.f32("llama.x"), 1e-5f);
  EXPECT_TRUE(file.boolean("b"));
  EXPECT_EQ(file.i64("i"), -3);
  EXPECT_THAT(file.strings("s"), ElementsAre("a", "", "Ġthe"));
  EXPECT_THAT(file.integers("t"), ElementsAre(1, -2));
  EXPECT_THAT(file.floats("f"), ElementsAre(0.5f));
  EXPECT_TRUE(same(file.tensors()[0].data, norm));
  EXPECT_EQ(file.tensors()[1].shape, Shape{0});
  EXPECT_TRUE(same(file.tensors()[2].data, matrix));
  EXPECT_EQ(file.tensors()[2].shape, (Shape{2, 32}));
  std::filesystem::remove(path);
}

TEST(Writers, SafetensorsReadsBackAsWritten) {
  const std::string path =
      ::testing::TempDir() + "nautile_writer_test_" + std::to_string(::getpid()) + ".safetensors";
  const auto scalar = ramp(4, 1);
  const auto matrix = ramp(6, 9);
  {
    SafetensorsWriter writer(
        path, {{"z", "F32", {}}, {"none", "BF16", {0, 4}}, {"a", "F8_E4M3", {2, 3}}});
    writer.append(scalar);
    writer.append(matrix);
    writer.finish();
  }
  const SafetensorsFile file = SafetensorsFile::open(path);
  ASSERT_EQ(file.tensors().size(), 3u);
  EXPECT_EQ(file.notes().at("format"), "pt");
  EXPECT_EQ(file.tensors()[0].offset % 8, 0u);
  for (const TensorRecord& tensor : file.tensors()) {
    EXPECT_TRUE(same(tensor.data, tensor.name == "z"   ? std::span<const std::byte>(scalar)
                                  : tensor.name == "a" ? std::span<const std::byte>(matrix)
                                                       : std::span<const std::byte>()))
        << tensor.name;
  }
  std::filesystem::remove(path);
}

TEST(Writers, AnUnfinishedFileLeavesNothing) {
  const std::string folder = ::testing::TempDir() + "nautile_writer_none/";
  std::filesystem::create_directories(folder);
  {
    SafetensorsWriter writer(folder + "x.safetensors", {{"z", "F32", {2}}});
    writer.append(ramp(4, 0));
  }
  EXPECT_TRUE(std::filesystem::is_empty(folder));
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace nautile::store
