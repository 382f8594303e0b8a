#include "store/weight_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>

#include "base/file.h"
#include "store/test_bytes.h"
#include "store/weight_claims.h"

namespace nautile::store {
namespace {

using test::Bytes;
using test::error_of;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

class Folder : public ::testing::Test {
 protected:
  void SetUp() override {
    path_ = ::testing::TempDir() + "nautile_weight_store_" + std::to_string(::getpid());
    std::filesystem::remove_all(path_);
    std::filesystem::create_directories(path_);
  }
  void TearDown() override { std::filesystem::remove_all(path_); }

  void write(const std::string& name, std::string_view content) {
    write_file_atomic(path_ + "/" + name, content);
  }
  void write(const std::string& name, const Bytes& bytes) {
    write(name, {reinterpret_cast<const char*>(bytes.data()), bytes.size()});
  }
  std::string error() {
    return error_of([&] { WeightStore::open(path_); });
  }
  std::string path_;
};

constexpr std::string_view kA = R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})";
constexpr std::string_view kB = R"({"b":{"dtype":"F16","shape":[4],"data_offsets":[0,8]}})";

TEST_F(Folder, OneFile) {
  write("model.safetensors", test::rich_safetensors());
  const WeightStore store = WeightStore::open(path_);
  EXPECT_FALSE(store.is_gguf());
  EXPECT_TRUE(store.has("ids"));
  EXPECT_FALSE(store.has("nothing"));
  EXPECT_EQ(store.total_bytes(), 556u);
  EXPECT_EQ(store.totals()[0].dtype, "F8_E4M3");
  EXPECT_EQ(store.folder()->path(), path_);
  EXPECT_EQ(WeightStore::open(path_ + "/model.safetensors").folder()->path(), path_);
}

TEST_F(Folder, ShardsByIndex) {
  write("s-1.safetensors", test::safetensors(kA, 8));
  write("s-2.safetensors", test::safetensors(kB, 8));
  write(
      "model.safetensors.index.json",
      R"({"metadata":{"total_size":16},"weight_map":{"a":"s-1.safetensors","b":"s-2.safetensors"}})");
  WeightStore store = WeightStore::open(path_);
  const WeightStore moved = std::move(store);
  ASSERT_TRUE(moved.has("a") && moved.has("b"));
  EXPECT_EQ(moved.find("b")->format, Format::f16);
  EXPECT_EQ(moved.files().size(), 2u);
}

TEST_F(Folder, AllMissingShardsAreNamedTogether) {
  write("s-1.safetensors", test::safetensors(kA, 8));
  write("model.safetensors.index.json",
        R"({"weight_map":{"a":"s-1.safetensors","b":"s-2.safetensors","c":"s-3.safetensors"}})");
  EXPECT_THAT(error(), AllOf(HasSubstr("2 of the 3 files"), HasSubstr("s-2.safetensors"),
                             HasSubstr("s-3.safetensors")));
}

TEST_F(Folder, WrongShardsAreNamedTogether) {
  write("s-1.safetensors", test::safetensors(kA, 8));
  write("model.safetensors.index.json",
        R"({"weight_map":{"b":"s-1.safetensors","c":"s-1.safetensors"}})");
  EXPECT_THAT(error(), AllOf(HasSubstr("2 of 2 listed tensors"), HasSubstr("b in s-1"),
                             HasSubstr("c in s-1")));
}

TEST_F(Folder, AnIndexCannotLeaveTheFolder) {
  for (const char* name : {"../s.safetensors", "/etc/passwd", "..", "", "a/b"}) {
    write("model.safetensors.index.json", fmt::format(R"({{"weight_map":{{"a":"{}"}}}})", name));
    EXPECT_THAT(error(), HasSubstr("file name without folders")) << name;
  }
}

TEST_F(Folder, GgufInAFolder) {
  EXPECT_THAT(error(), HasSubstr("holds no weights"));
  write("m.gguf", test::rich_gguf());
  const WeightStore store = WeightStore::open(path_);
  EXPECT_TRUE(store.is_gguf());
  EXPECT_EQ(store.gguf().architecture(), "deepseek2");
  EXPECT_FALSE(store.folder());
  write("n.gguf", test::rich_gguf());
  EXPECT_THAT(error(), HasSubstr("2 GGUF models"));
}

TEST_F(Folder, ClaimsTellEverythingInOneError) {
  write("model.safetensors", test::rich_safetensors());
  WeightStore store = WeightStore::open(path_);
  WeightClaims claims(store);
  EXPECT_TRUE(claims.take("norm.weight", {4}, "norm").present());
  EXPECT_FALSE(claims.take("a.weight", {4, 130}).present());
  EXPECT_FALSE(claims.take("b.weight", {1, 2}).present());
  EXPECT_FALSE(claims.take("c.weight", {3}).present());
  EXPECT_FALSE(claims.take_optional("d.weight", {3}).present());
  EXPECT_FALSE(claims.take("ids", {2}).present());
  claims.ignore_if([](std::string_view name) { return name == "empty"; });
  EXPECT_THAT(error_of([&] { claims.finish(); }),
              AllOf(HasSubstr("2 missing"), HasSubstr("b.weight [1, 2]"), HasSubstr("c.weight [3]"),
                    HasSubstr("a.weight: expected [4, 130], found [130, 4]"),
                    HasSubstr("ids: type I64"), HasSubstr("2 that this model does not have"),
                    HasSubstr("scalar F32 []"), HasSubstr("a.weight_scale_inv F32 [2, 1]"),
                    Not(HasSubstr("empty")), Not(HasSubstr("d.weight"))));
}

TEST_F(Folder, F8WeightsBringTheirScales) {
  write("model.safetensors", test::rich_safetensors());
  WeightStore store = WeightStore::open(path_);
  WeightClaims claims(store);
  const Weight weight = claims.take("a.weight", {130, 4});
  EXPECT_EQ(weight.format, Format::f8_e4m3);
  EXPECT_EQ(weight.scale_format, ScaleFormat::f32);
  EXPECT_EQ(weight.scales, store.find("a.weight_scale_inv")->data.data());
  EXPECT_EQ(weight.scale_bytes(), 8u);
  claims.ignore_if(
      [](std::string_view name) { return name != "a.weight" && name != "a.weight_scale_inv"; });
  EXPECT_NO_THROW(claims.finish());
}

TEST_F(Folder, ScalesOfOtherTypes) {
  const auto scales = [&](std::string_view dtype, std::size_t bytes, std::string_view values) {
    Bytes file = test::safetensors(
        fmt::format(
            R"({{"w.weight":{{"dtype":"F8_E4M3","shape":[2,4],"data_offsets":[0,8]}},)"
            R"("w.weight_scale_inv":{{"dtype":"{}","shape":[1,1],"data_offsets":[8,{}]}}}})",
            dtype, 8 + bytes),
        8 + bytes);
    std::memcpy(file.data() + file.size() - bytes, values.data(), bytes);
    write("model.safetensors", file);
    WeightStore store = WeightStore::open(path_);
    WeightClaims claims(store);
    const Weight weight = claims.take("w.weight", {2, 4});
    claims.finish();
    if (weight.scale_format == ScaleFormat::e8m0) return static_cast<float>(weight.scales[0]);
    float value;
    std::memcpy(&value, weight.scales, 4);
    return value;
  };
  EXPECT_EQ(scales("BF16", 2, std::string_view("\x00\x3f", 2)), 0.5f);
  EXPECT_EQ(scales("F16", 2, std::string_view("\x00\x38", 2)), 0.5f);
  EXPECT_EQ(scales("F8_E8M0", 1, "\x7e"), 126.0f);
  EXPECT_THAT(error_of([&] { scales("I16", 2, std::string_view("\0\0", 2)); }),
              HasSubstr("have type I16"));
}

}  // namespace
}  // namespace nautile::store
