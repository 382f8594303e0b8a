#include "store/safetensors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "store/test_bytes.h"

namespace nautile::store {
namespace {

using test::ByteBuilder;
using test::Bytes;
using test::error_of;
using ::testing::AllOf;
using ::testing::HasSubstr;

std::string open_error(const Bytes& bytes) {
  return error_of([&] { SafetensorsFile::from_bytes(bytes, "x.safetensors"); });
}
std::string header_error(std::string_view header, std::size_t data = 8) {
  return open_error(test::safetensors(header, data));
}

TEST(Safetensors, ReadsTensorsInTheOrderOfTheirBytes) {
  const Bytes bytes = test::rich_safetensors();
  const SafetensorsFile file = SafetensorsFile::from_bytes(bytes, "x.safetensors");
  const auto& tensors = file.tensors();
  ASSERT_EQ(tensors.size(), 6u);
  EXPECT_EQ(tensors[0].name, "a.weight");
  EXPECT_EQ(tensors[0].format, Format::f8_e4m3);
  EXPECT_EQ(tensors[0].shape, (Shape{130, 4}));
  EXPECT_EQ(tensors[1].data.size(), 8u);
  EXPECT_EQ(tensors[3].dtype, "I64");
  EXPECT_EQ(tensors[3].format, std::nullopt);
  EXPECT_EQ(tensors[4].shape, Shape{});
  EXPECT_EQ(tensors[4].shape.elements(), 1);
  EXPECT_EQ(tensors[5].shape, (Shape{0, 3}));
  EXPECT_EQ(file.notes().at("format"), "pt");
}

TEST(Safetensors, RefusesHeadersThatDoNotFit) {
  EXPECT_THAT(open_error({}), HasSubstr("the header's length needs 8 bytes"));
  EXPECT_THAT(open_error(ByteBuilder().number(~std::uint64_t{0}).zeros(8).bytes()),
              HasSubstr("at byte 0"));
  EXPECT_THAT(open_error(ByteBuilder().number<std::uint64_t>(9).zeros(8).bytes()),
              HasSubstr("the header's length is 9; the file has 8 bytes after it"));
  EXPECT_THAT(header_error("[]"), HasSubstr("not a JSON object but array"));
  EXPECT_THAT(header_error(R"({"a":)"),
              AllOf(HasSubstr("x.safetensors"), HasSubstr("at byte 6: not JSON")));
}

TEST(Safetensors, RefusesEntriesThatDoNotFit) {
  EXPECT_EQ(header_error(R"({"t":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})"), "");
  EXPECT_THAT(header_error(R"({"t":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}})"),
              AllOf(HasSubstr("tensor \"t\""), HasSubstr("F32 [3] does not fit its 8 bytes")));
  EXPECT_THAT(header_error(R"({"t":{"dtype":"F32","shape":[2],"data_offsets":[8,0]}})"),
              HasSubstr("do not lie"));
  EXPECT_THAT(header_error(R"({"t":{"dtype":"F32","shape":[3],"data_offsets":[0,12]}})"),
              HasSubstr("cut short?"));
  EXPECT_THAT(header_error(R"({"t":{"dtype":"F32","shape":[-2],"data_offsets":[0,8]}})"),
              HasSubstr("expected an unsigned integer, found -2"));
  EXPECT_THAT(header_error(R"({"t":{"dtype":"F32","shape":[2.0],"data_offsets":[0,8]}})"),
              HasSubstr("expected an unsigned integer, found 2.0"));
  EXPECT_THAT(
      header_error(
          R"({"t":{"dtype":"F32","shape":[4294967296,4294967296,2],"data_offsets":[0,8]}})"),
      HasSubstr("more than 2^62"));
  EXPECT_THAT(header_error(R"({"t":{"dtype":"F32","shape":[1,1,1,1,2],"data_offsets":[0,8]}})"),
              HasSubstr("5 dimensions"));
  EXPECT_THAT(header_error(R"({"t":{"shape":[2],"data_offsets":[0,8]}})"),
              HasSubstr("\"dtype\" is missing"));
  EXPECT_THAT(header_error(R"({"t":{"dtype":"F32","shape":[2],"data_offsets":[0]}})"),
              HasSubstr("[begin, end]"));
  EXPECT_THAT(header_error(R"({"t":7})"), HasSubstr("expected an object, found number"));
  EXPECT_THAT(header_error(R"({"__metadata__":{"a":1}})"),
              HasSubstr("expected a string, found number"));
}

TEST(Safetensors, RefusesGapsOverlapsAndRepeatedNames) {
  EXPECT_THAT(header_error(R"({"s":{"dtype":"U8","shape":[5],"data_offsets":[0,5]},)"
                           R"("t":{"dtype":"U8","shape":[4],"data_offsets":[4,8]}})"),
              HasSubstr("they share bytes"));
  EXPECT_THAT(header_error(R"({"s":{"dtype":"U8","shape":[3],"data_offsets":[0,3]},)"
                           R"("t":{"dtype":"U8","shape":[4],"data_offsets":[4,8]}})"),
              HasSubstr("a gap"));
  EXPECT_THAT(header_error(R"({"s":{"dtype":"U8","shape":[3],"data_offsets":[0,3]}})"),
              HasSubstr("5 bytes after the last tensor"));
  EXPECT_THAT(header_error(R"({"s":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},)"
                           R"("s":{"dtype":"U8","shape":[4],"data_offsets":[4,8]}})"),
              HasSubstr("\"s\" occurs twice"));
}

TEST(Safetensors, SubByteTypesKeepTheirSize) {
  EXPECT_EQ(header_error(R"({"t":{"dtype":"F4","shape":[4,4],"data_offsets":[0,8]}})"), "");
  EXPECT_THAT(header_error(R"({"t":{"dtype":"F4","shape":[15],"data_offsets":[0,8]}})"),
              HasSubstr("does not fit"));
  EXPECT_EQ(header_error(R"({"t":{"dtype":"F9_NEW","shape":[4],"data_offsets":[0,8]}})"), "");
}

}  // namespace
}  // namespace nautile::store
