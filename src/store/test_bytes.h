// test_bytes.h — builds small GGUF and safetensors files in memory, byte by byte, for tests.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "store/gguf_types.h"

namespace nautile::store::test {

using Bytes = std::vector<std::byte>;

inline std::span<const std::byte> view(std::string_view text) {
  return {reinterpret_cast<const std::byte*>(text.data()), text.size()};
}

// Independent of the writers under test: knows the layout and nothing else.
class ByteBuilder {
 public:
  template <class T>
  ByteBuilder& number(T value) {
    return text({reinterpret_cast<const char*>(&value), sizeof(T)});
  }
  ByteBuilder& text(std::string_view text) {
    bytes_ += text;
    return *this;
  }
  ByteBuilder& string(std::string_view value) {
    return number<std::uint64_t>(value.size()).text(value);
  }
  ByteBuilder& key(std::string_view name, GgufType type) {
    return string(name).number(static_cast<std::uint32_t>(type));
  }
  ByteBuilder& zeros(std::size_t count) {
    bytes_.append(count, '\0');
    return *this;
  }
  ByteBuilder& align(std::size_t to) { return zeros((to - bytes_.size() % to) % to); }
  ByteBuilder& header(std::uint64_t tensors, std::uint64_t pairs, std::uint32_t version = 3) {
    return text("GGUF").number(version).number(tensors).number(pairs);
  }
  // dims in ggml order
  ByteBuilder& tensor(std::string_view name, std::vector<std::uint64_t> dims, std::uint32_t type,
                      std::uint64_t offset) {
    string(name).number(static_cast<std::uint32_t>(dims.size()));
    for (std::uint64_t dim : dims) number(dim);
    return number(type).number(offset);
  }
  Bytes bytes() const {
    const auto bytes = view(bytes_);
    return {bytes.begin(), bytes.end()};
  }

 private:
  std::string bytes_;
};

// A GGUF with a value of every type and five tensors.
inline Bytes rich_gguf() {
  ByteBuilder b;
  b.header(5, 16);
  b.key("general.architecture", GgufType::string).string("deepseek2");
  b.key("general.alignment", GgufType::u32).number<std::uint32_t>(64);
  b.key("v.u8", GgufType::u8).number<std::uint8_t>(8);
  b.key("v.i8", GgufType::i8).number<std::int8_t>(-8);
  b.key("v.u16", GgufType::u16).number<std::uint16_t>(16);
  b.key("v.i16", GgufType::i16).number<std::int16_t>(-16);
  b.key("v.i32", GgufType::i32).number<std::int32_t>(-32);
  b.key("v.f32", GgufType::f32).number(0.5f);
  b.key("v.bool", GgufType::boolean).number<std::uint8_t>(1);
  b.key("v.u64", GgufType::u64).number<std::uint64_t>(std::uint64_t{1} << 40);
  b.key("v.i64", GgufType::i64).number<std::int64_t>(-(std::int64_t{1} << 40));
  b.key("v.f64", GgufType::f64).number(0.25);
  b.key("v.strings", GgufType::array).number(static_cast<std::uint32_t>(GgufType::string));
  b.number<std::uint64_t>(3).string("a").string("").string("ccc");
  b.key("v.ints", GgufType::array).number(static_cast<std::uint32_t>(GgufType::i32));
  b.number<std::uint64_t>(2).number<std::int32_t>(-1).number<std::int32_t>(7);
  b.key("v.floats", GgufType::array).number(static_cast<std::uint32_t>(GgufType::f32));
  b.number<std::uint64_t>(2).number(1.5f).number(-2.5f);
  b.key("v.nested", GgufType::array).number(static_cast<std::uint32_t>(GgufType::array));
  b.number<std::uint64_t>(1).number(static_cast<std::uint32_t>(GgufType::u8));
  b.number<std::uint64_t>(2).number<std::uint16_t>(0);
  b.tensor("norm", {4}, 0, 0);            // F32: 16 bytes
  b.tensor("q8", {64, 2}, 8, 64);         // Q8_0: 4 blocks, 136 bytes
  b.tensor("q4k", {256, 2, 3}, 12, 256);  // Q4_K: 6 blocks, 864 bytes
  b.tensor("iq", {256}, 16, 1152);        // IQ2_XXS, not computed on: 66 bytes
  b.tensor("odd", {5}, 77, 1280);         // a type nobody knows
  b.align(64);
  for (std::size_t i = 0; i < 1280 + 8; ++i) b.number(static_cast<std::uint8_t>(i * 7));
  return b.bytes();
}

// A safetensors file from its header's text and data.
inline Bytes safetensors(std::string_view header, std::size_t data_bytes) {
  ByteBuilder b;
  b.string(header).zeros(data_bytes);
  return b.bytes();
}

inline constexpr std::string_view kRichHeader =
    R"({"__metadata__":{"format":"pt"},)"
    R"("a.weight":{"dtype":"F8_E4M3","shape":[130,4],"data_offsets":[0,520]},)"
    R"("a.weight_scale_inv":{"dtype":"F32","shape":[2,1],"data_offsets":[520,528]},)"
    R"("norm.weight":{"dtype":"BF16","shape":[4],"data_offsets":[528,536]},)"
    R"("ids":{"dtype":"I64","shape":[2],"data_offsets":[536,552]},)"
    R"("scalar":{"dtype":"F32","shape":[],"data_offsets":[552,556]},)"
    R"("empty":{"dtype":"F16","shape":[0,3],"data_offsets":[556,556]}})";

inline Bytes rich_safetensors() {
  return safetensors(kRichHeader, 556);
}

// The text of the Error that `action` throws; empty if it throws none.
template <class Action>
std::string error_of(const Action& action) {
  try {
    action();
  } catch (const Error& error) {
    return error.what();
  }
  return {};
}

}  // namespace nautile::store::test
