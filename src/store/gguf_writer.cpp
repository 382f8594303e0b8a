#include "store/gguf_writer.h"

#include <set>

#include "base/error.h"

namespace nautile::store {
namespace {

constexpr std::uint64_t kAlignment = 32;
constexpr std::size_t kMostNameBytes = 63;

template <class T>
void put(std::string& out, T value) {
  out.append(reinterpret_cast<const char*>(&value), sizeof value);
}

void put_string(std::string& out, std::string_view text) {
  put(out, static_cast<std::uint64_t>(text.size()));
  out += text;
}

std::uint64_t padded(std::uint64_t bytes) {
  return (bytes + kAlignment - 1) / kAlignment * kAlignment;
}

}  // namespace

void GgufMetadata::key(std::string_view key, GgufType type) {
  put_string(bytes_, key);
  put(bytes_, static_cast<std::uint32_t>(type));
  ++count_;
}

void GgufMetadata::array(std::string_view name, GgufType element, std::size_t count) {
  key(name, GgufType::array);
  put(bytes_, static_cast<std::uint32_t>(element));
  put(bytes_, static_cast<std::uint64_t>(count));
}

void GgufMetadata::u16(std::string_view name, std::uint16_t value) {
  key(name, GgufType::u16);
  put(bytes_, value);
}
void GgufMetadata::u32(std::string_view name, std::uint32_t value) {
  key(name, GgufType::u32);
  put(bytes_, value);
}
void GgufMetadata::i32(std::string_view name, std::int32_t value) {
  key(name, GgufType::i32);
  put(bytes_, value);
}
void GgufMetadata::f32(std::string_view name, float value) {
  key(name, GgufType::f32);
  put(bytes_, value);
}
void GgufMetadata::boolean(std::string_view name, bool value) {
  key(name, GgufType::boolean);
  put(bytes_, static_cast<std::uint8_t>(value));
}
void GgufMetadata::string(std::string_view name, std::string_view value) {
  key(name, GgufType::string);
  put_string(bytes_, value);
}
void GgufMetadata::strings(std::string_view name, std::span<const std::string> values) {
  array(name, GgufType::string, values.size());
  for (const std::string& value : values) put_string(bytes_, value);
}
void GgufMetadata::i32s(std::string_view name, std::span<const std::int32_t> values) {
  array(name, GgufType::i32, values.size());
  for (std::int32_t value : values) put(bytes_, value);
}
void GgufMetadata::f32s(std::string_view name, std::span<const float> values) {
  array(name, GgufType::f32, values.size());
  for (float value : values) put(bytes_, value);
}

std::uint64_t GgufEntry::bytes() const {
  return static_cast<std::uint64_t>(shape.rows()) *
         row_bytes(format, static_cast<std::size_t>(shape.cols()));
}

GgufWriter::GgufWriter(const std::string& path, const GgufMetadata& metadata,
                       std::vector<GgufEntry> tensors)
    : file_(path), tensors_(std::move(tensors)) {
  std::string header = "GGUF";
  put(header, std::uint32_t{3});
  put(header, static_cast<std::uint64_t>(tensors_.size()));
  put(header, metadata.count());
  header += metadata.bytes();
  std::uint64_t offset = 0;
  std::set<std::string_view> names;
  for (const GgufEntry& tensor : tensors_) {
    const auto type = ggml_type_id(tensor.format);
    NAUTILE_ASSERT(type, "GGUF has no type for {}", info(tensor.format).name);
    NAUTILE_ASSERT(tensor.name.size() <= kMostNameBytes, "tensor name {} is too long", tensor.name);
    NAUTILE_ASSERT(names.insert(tensor.name).second, "tensor {} declared twice", tensor.name);
    NAUTILE_ASSERT(tensor.shape.cols() % info(tensor.format).block == 0,
                   "{} {} is not made of whole blocks of {}", tensor.name, tensor.shape,
                   info(tensor.format).name);
    put_string(header, tensor.name);
    put(header, static_cast<std::uint32_t>(tensor.shape.rank()));
    for (int i = tensor.shape.rank(); i-- > 0;)
      put(header, static_cast<std::uint64_t>(tensor.shape[i]));
    put(header, *type);
    put(header, offset);
    offset += padded(tensor.bytes());
  }
  file_.append(header);
  file_.append_zeros(padded(header.size()) - header.size());
  left_ = tensors_.empty() ? 0 : tensors_[0].bytes();
  pad_if_complete();
}

// Steps over tensors that are complete (or empty) to the next one that wants bytes.
void GgufWriter::pad_if_complete() {
  while (left_ == 0 && current_ < tensors_.size()) {
    file_.append_zeros(padded(tensors_[current_].bytes()) - tensors_[current_].bytes());
    ++current_;
    left_ = current_ < tensors_.size() ? tensors_[current_].bytes() : 0;
  }
}

void GgufWriter::append(std::span<const std::byte> bytes) {
  NAUTILE_ASSERT(bytes.size() <= left_, "{}: {} bytes for {}, which needs {} more", file_.path(),
                 bytes.size(), current_ < tensors_.size() ? tensors_[current_].name : "nothing",
                 left_);
  file_.append(bytes);
  left_ -= bytes.size();
  pad_if_complete();
}

void GgufWriter::finish() {
  NAUTILE_ASSERT(current_ == tensors_.size(), "{}: {} lacks {} bytes", file_.path(),
                 tensors_[current_].name, left_);
  file_.commit();
}

std::uint64_t GgufWriter::data_bytes() const {
  std::uint64_t sum = 0;
  for (const GgufEntry& tensor : tensors_) sum += tensor.bytes();
  return sum;
}

}  // namespace nautile::store
