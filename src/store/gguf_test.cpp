#include "store/gguf.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>

#include "base/file.h"
#include "store/test_bytes.h"

namespace nautile::store {
namespace {

using test::ByteBuilder;
using test::Bytes;
using test::error_of;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::string open_error(const Bytes& bytes) {
  return error_of([&] { GgufFile::from_bytes(bytes, "x.gguf"); });
}

TEST(Gguf, ReadsValuesOfEveryType) {
  const Bytes bytes = test::rich_gguf();
  const GgufFile file = GgufFile::from_bytes(bytes, "x.gguf");
  EXPECT_EQ(file.version(), 3u);
  EXPECT_EQ(file.architecture(), "deepseek2");
  EXPECT_EQ(file.u32("v.u8"), 8u);
  EXPECT_EQ(file.i64("v.i8"), -8);
  EXPECT_EQ(file.u32("v.u16"), 16u);
  EXPECT_EQ(file.i64("v.i16"), -16);
  EXPECT_EQ(file.i64("v.i32"), -32);
  EXPECT_EQ(file.f32("v.f32"), 0.5f);
  EXPECT_EQ(file.f32("v.f64"), 0.25f);
  EXPECT_TRUE(file.boolean("v.bool"));
  EXPECT_EQ(file.u64("v.u64"), std::uint64_t{1} << 40);
  EXPECT_EQ(file.i64("v.i64"), -(std::int64_t{1} << 40));
  EXPECT_THAT(file.strings("v.strings"), ElementsAre("a", "", "ccc"));
  EXPECT_THAT(file.integers("v.ints"), ElementsAre(-1, 7));
  EXPECT_THAT(file.floats("v.floats"), ElementsAre(1.5f, -2.5f));
  EXPECT_EQ(file.find("v.nested")->str(), "array of 1 array");
  EXPECT_EQ(file.optional_u32("absent"), std::nullopt);
  EXPECT_THAT(file.u32_per_layer("v.u8", 3), ElementsAre(8u, 8u, 8u));
}

TEST(Gguf, GettersNameKeyExpectedAndFound) {
  const Bytes bytes = test::rich_gguf();
  const GgufFile file = GgufFile::from_bytes(bytes, "x.gguf");
  EXPECT_THAT(error_of([&] { file.u32("nowhere"); }),
              AllOf(HasSubstr("x.gguf"), HasSubstr("\"nowhere\" is missing")));
  EXPECT_THAT(
      error_of([&] { file.u32("v.u64"); }),
      AllOf(HasSubstr("\"v.u64\": expected an integer below 2^32, found 1099511627776 (u64)")));
  EXPECT_THAT(error_of([&] { file.optional_u32("v.i8"); }), HasSubstr("found -8 (i8)"));
  EXPECT_THAT(error_of([&] { file.f32("v.u8"); }), HasSubstr("expected a float, found 8 (u8)"));
  EXPECT_THAT(error_of([&] { file.strings("v.ints"); }),
              HasSubstr("expected an array of strings, found array of 2 i32 (array)"));
  EXPECT_THAT(error_of([&] { file.integers("v.nested"); }), HasSubstr("an array of integers"));
  EXPECT_THAT(error_of([&] { file.u32_per_layer("v.ints", 3); }), HasSubstr("or 3 of them"));
  EXPECT_THAT(error_of([&] { file.string("v.bool"); }),
              HasSubstr("expected a string, found true (bool)"));
}

TEST(Gguf, TensorsHavePyTorchShapesAndTheirBytes) {
  const Bytes bytes = test::rich_gguf();
  const GgufFile file = GgufFile::from_bytes(bytes, "x.gguf");
  const auto& tensors = file.tensors();
  ASSERT_EQ(tensors.size(), 5u);
  EXPECT_EQ(tensors[0].format, Format::f32);
  EXPECT_EQ(tensors[0].shape, (Shape{4}));
  EXPECT_EQ(tensors[0].offset % 64, 0u);
  EXPECT_EQ(tensors[2].format, Format::q4_k);
  EXPECT_EQ(tensors[2].shape, (Shape{3, 2, 256}));
  EXPECT_EQ(tensors[2].data.size(), 864u);
  EXPECT_EQ(tensors[2].data.data(), bytes.data() + tensors[0].offset + 256);
  EXPECT_EQ(tensors[2].data[1], static_cast<std::byte>(257 * 7 % 256));
}

TEST(Gguf, OpensWithTypesItCannotComputeOn) {
  const Bytes bytes = test::rich_gguf();
  const GgufFile file = GgufFile::from_bytes(bytes, "x.gguf");
  EXPECT_EQ(require_format(file.tensors()[1]), Format::q8_0);
  EXPECT_THAT(error_of([&] { require_format(file.tensors()[3]); }),
              AllOf(HasSubstr("iq"), HasSubstr("IQ2_XXS"), HasSubstr("x.gguf")));
  EXPECT_THAT(error_of([&] { require_format(file.tensors()[4]); }), HasSubstr("ggml type 77"));
}

TEST(Gguf, RefusesOtherVersionsAndByteOrders) {
  EXPECT_THAT(open_error(ByteBuilder().header(0, 0, 1).bytes()),
              HasSubstr("at byte 4: GGUF version 1"));
  EXPECT_THAT(open_error(ByteBuilder().header(0, 0, 0x03000000).bytes()), HasSubstr("big-endian"));
  EXPECT_THAT(open_error(ByteBuilder().text("PK\x03\x04 not this").bytes()),
              HasSubstr("not a GGUF file"));
  EXPECT_THAT(open_error({}),
              HasSubstr("at byte 0: the magic number needs 4 bytes, the file has 0 left"));
  EXPECT_EQ(open_error(ByteBuilder().header(0, 0, 2).bytes()), "");
}

TEST(Gguf, RefusesHostileCountsBeforeAllocating) {
  const std::uint64_t huge = std::uint64_t{1} << 60;
  EXPECT_THAT(open_error(ByteBuilder().header(huge, 0).bytes()),
              HasSubstr("the number of tensors"));
  EXPECT_THAT(open_error(ByteBuilder().header(0, huge).bytes()),
              HasSubstr("the number of metadata pairs"));
  ByteBuilder strings;
  strings.header(0, 1)
      .key("k", GgufType::array)
      .number(static_cast<std::uint32_t>(GgufType::string));
  strings.number(huge).zeros(64);
  EXPECT_THAT(open_error(strings.bytes()),
              AllOf(HasSubstr("metadata \"k\""), HasSubstr("number of elements"),
                    HasSubstr("hold at most 8")));
  ByteBuilder text;
  text.header(0, 1).key("k", GgufType::string).number(~std::uint64_t{0}).zeros(8);
  EXPECT_THAT(open_error(text.bytes()), HasSubstr("length 18446744073709551615"));
}

TEST(Gguf, RefusesBrokenMetadata) {
  ByteBuilder twice;
  twice.header(0, 2).key("k", GgufType::u8).number<std::uint8_t>(1);
  twice.key("k", GgufType::u8).number<std::uint8_t>(1);
  EXPECT_THAT(open_error(twice.bytes()), HasSubstr("\"k\" occurs twice"));
  ByteBuilder boolean;
  boolean.header(0, 1).key("k", GgufType::boolean).number<std::uint8_t>(2);
  EXPECT_THAT(open_error(boolean.bytes()), HasSubstr("a bool is 0 or 1, found 2"));
  ByteBuilder type;
  type.header(0, 1).string("k").number<std::uint32_t>(13).zeros(8);
  EXPECT_THAT(open_error(type.bytes()), HasSubstr("its type is 13"));
  ByteBuilder align;
  align.header(0, 1).key("general.alignment", GgufType::u32).number<std::uint32_t>(0);
  EXPECT_THAT(open_error(align.bytes()), HasSubstr("multiple of 8"));
  ByteBuilder deep;
  deep.header(0, 1).string("k");
  for (int i = 0; i < 6; ++i) deep.number(std::uint32_t{9});
  deep.zeros(64);
  EXPECT_NE(open_error(deep.bytes()), "");
  ByteBuilder nested;
  nested.header(0, 1).string("k").number(std::uint32_t{9});
  for (int i = 0; i < 6; ++i) nested.number(std::uint32_t{9}).number<std::uint64_t>(1);
  nested.number(std::uint32_t{0}).number<std::uint64_t>(0);
  EXPECT_THAT(open_error(nested.bytes()), HasSubstr("nested deeper than 4"));
}

std::string tensor_error(std::vector<std::uint64_t> dims, std::uint32_t type,
                         std::uint64_t offset) {
  ByteBuilder b;
  b.header(1, 0).tensor("t", std::move(dims), type, offset).align(32).zeros(128);
  return open_error(b.bytes());
}

TEST(Gguf, RefusesTensorsThatDoNotFit) {
  const std::uint64_t half = std::uint64_t{1} << 32;
  EXPECT_EQ(tensor_error({32}, 0, 0), "");
  EXPECT_EQ(tensor_error({0, half, half / 8}, 0, 128), "");
  EXPECT_THAT(tensor_error({33}, 0, 0), HasSubstr("end past the file's end"));
  EXPECT_THAT(tensor_error({32}, 0, 32), HasSubstr("end past the file's end"));
  EXPECT_THAT(tensor_error({32}, 0, ~std::uint64_t{31}), HasSubstr("end past the file's end"));
  EXPECT_THAT(tensor_error({8}, 0, 8), HasSubstr("its offset 8 is not a multiple of 32"));
  EXPECT_THAT(tensor_error({half, half}, 0, 0), HasSubstr("multiply to more than 2^62"));
  EXPECT_THAT(tensor_error({half, half / 8}, 0, 0), HasSubstr("needs more bytes"));
  EXPECT_THAT(tensor_error({33}, 8, 0),
              HasSubstr("rows of 33 values are not whole blocks of 32 (Q8_0)"));
  EXPECT_THAT(tensor_error({1, 1, 1, 1, 1}, 0, 0), HasSubstr("5 dimensions, at most 4"));
}

TEST(Gguf, RefusesTensorsThatShareANameOrBytes) {
  ByteBuilder name;
  name.header(2, 0).tensor("t", {8}, 0, 0).tensor("t", {8}, 0, 32).align(32).zeros(64);
  EXPECT_THAT(open_error(name.bytes()), HasSubstr("the tensor \"t\" occurs twice"));
  ByteBuilder bytes;
  bytes.header(2, 0).tensor("s", {16}, 0, 0).tensor("t", {8}, 0, 32).align(32).zeros(64);
  EXPECT_THAT(open_error(bytes.bytes()), HasSubstr("\"s\" and \"t\" share bytes"));
  ByteBuilder hostile;
  hostile.header(1, 0).tensor("evil\n\x1b[31m", {9}, 0, 0);
  EXPECT_THAT(open_error(hostile.bytes()), HasSubstr("evil\\x0a\\x1b[31m"));
}

// Parts of a split model in a folder of its own.
class Split : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = ::testing::TempDir() + "nautile_split_" + std::to_string(::getpid()) + "/";
    std::filesystem::remove_all(folder_);
    std::filesystem::create_directories(folder_);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  void write(const std::string& name, std::uint16_t number, const std::string& tensor,
             std::uint16_t count = 2, std::int32_t tensors = 2) {
    ByteBuilder b;
    b.header(1, 4);
    b.key("split.no", GgufType::u16).number(number);
    b.key("split.count", GgufType::u16).number(count);
    b.key("split.tensors.count", GgufType::i32).number(tensors);
    b.key("general.architecture", GgufType::string).string("llama");
    b.tensor(tensor, {8}, 0, 0).align(32).zeros(32);
    const Bytes bytes = b.bytes();
    write_file_atomic(folder_ + name, {reinterpret_cast<const char*>(bytes.data()), bytes.size()});
  }
  std::string error(const std::string& name) {
    return error_of([&] { GgufFile::open(folder_ + name); });
  }
  std::string folder_;
};

TEST_F(Split, AnyPartOpensAll) {
  write("m-00001-of-00002.gguf", 0, "a");
  write("m-00002-of-00002.gguf", 1, "b");
  const GgufFile file = GgufFile::open(folder_ + "m-00002-of-00002.gguf");
  ASSERT_EQ(file.tensors().size(), 2u);
  EXPECT_EQ(file.tensors()[1].name, "b");
  EXPECT_THAT(file.tensors()[1].file, HasSubstr("00002-of-00002"));
  EXPECT_EQ(file.architecture(), "llama");
}

TEST_F(Split, SaysWhatDoesNotFit) {
  write("m-00001-of-00002.gguf", 0, "a");
  EXPECT_THAT(error("m-00001-of-00002.gguf"), HasSubstr("m-00002-of-00002.gguf"));
  write("m-00002-of-00002.gguf", 0, "b");
  EXPECT_THAT(error("m-00001-of-00002.gguf"), HasSubstr("split.no: expected 1, found 0"));
  write("m-00002-of-00002.gguf", 1, "a");
  EXPECT_THAT(error("m-00001-of-00002.gguf"), HasSubstr("\"a\" is also in an earlier part"));
  write("m-00002-of-00002.gguf", 1, "b", 3);
  EXPECT_THAT(error("m-00001-of-00002.gguf"), HasSubstr("split.count: expected 2, found 3"));
  write("m-00001-of-00002.gguf", 0, "a", 2, 5);
  write("m-00002-of-00002.gguf", 1, "b");
  EXPECT_THAT(error("m-00001-of-00002.gguf"),
              HasSubstr("split.tensors.count: expected 5, found 2"));
  write("renamed.gguf", 0, "a");
  EXPECT_THAT(error("renamed.gguf"), HasSubstr("NAME-00001-of-0000N.gguf"));
  EXPECT_THAT(error("m-00000-of-00000.gguf"), HasSubstr("parts count from 1"));
  EXPECT_THAT(error("m-00001-of-99999.gguf"), HasSubstr("at most 10000"));
}

}  // namespace
}  // namespace nautile::store
