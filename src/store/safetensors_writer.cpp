#include "store/safetensors_writer.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <unordered_set>

#include "base/error.h"
#include "store/safetensors.h"

namespace nautile::store {

std::uint64_t SafetensorsEntry::bytes() const {
  const auto bits = safetensors_dtype_bits(dtype);
  NAUTILE_ASSERT(bits, "unknown safetensors dtype {}", dtype);
  return static_cast<std::uint64_t>(shape.elements()) * static_cast<std::uint64_t>(*bits) / 8;
}

SafetensorsWriter::SafetensorsWriter(const std::string& path, std::vector<SafetensorsEntry> tensors,
                                     const std::map<std::string, std::string>& notes,
                                     AtomicWriter::Watch watch)
    : file_(path, std::move(watch)) {
  // Text by hand: a JSON object that keeps this order would be searched from its start at every
  // name.
  std::string text = notes.empty() ? "{" : "{\"__metadata__\":" + nlohmann::json(notes).dump();
  std::unordered_set<std::string_view> names;
  for (const SafetensorsEntry& tensor : tensors) {
    NAUTILE_ASSERT(names.insert(tensor.name).second, "tensor {} declared twice", tensor.name);
    auto shape = nlohmann::json::array();
    for (int i = 0; i < tensor.shape.rank(); ++i) shape.push_back(tensor.shape[i]);
    const std::uint64_t end = data_bytes_ + tensor.bytes();
    if (text.size() > 1) text += ',';
    text += fmt::format(R"({}:{{"dtype":"{}","shape":{},"data_offsets":[{},{}]}})",
                        nlohmann::json(tensor.name).dump(), tensor.dtype, shape.dump(), data_bytes_,
                        end);
    data_bytes_ = end;
  }
  text += '}';
  text.append((8 - text.size() % 8) % 8, ' ');  // the data starts at a multiple of 8
  const std::uint64_t length = text.size();
  file_.append(std::as_bytes(std::span(&length, 1)));
  file_.append(text);
  data_start_ = file_.size();
}

void SafetensorsWriter::append(std::span<const std::byte> bytes) {
  file_.append(bytes);
}

void SafetensorsWriter::finish() {
  NAUTILE_ASSERT(file_.size() - data_start_ == data_bytes_, "{}: {} bytes declared, {} appended",
                 file_.path(), data_bytes_, file_.size() - data_start_);
  file_.commit();
}

}  // namespace nautile::store
