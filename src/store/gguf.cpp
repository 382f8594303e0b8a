#include "store/gguf.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <limits>
#include <unordered_set>

#include "base/error.h"
#include "store/byte_cursor.h"
#include "store/gguf_part.h"

namespace nautile::store {
namespace {

// "folder/model-00002-of-00005.gguf" is part 2 of 5 of stem "folder/model".
struct SplitName {
  std::string stem;
  std::uint32_t part = 0;
  std::uint32_t count = 0;

  std::string path(std::uint32_t number) const {
    return fmt::format("{}-{:05}-of-{:05}.gguf", stem, number, count);
  }
};

constexpr std::uint32_t kMostParts = 10000;

std::optional<SplitName> split_name(const std::string& path) {
  constexpr std::string_view kPattern = "-#####-of-#####.gguf";
  if (path.size() < kPattern.size()) return std::nullopt;
  const std::size_t start = path.size() - kPattern.size();
  std::uint32_t numbers[2] = {0, 0};
  int which = 0;
  for (std::size_t i = 0; i < kPattern.size(); ++i) {
    const char found = path[start + i];
    if (kPattern[i] == '#') {
      if (found < '0' || found > '9') return std::nullopt;
      numbers[which] = numbers[which] * 10 + static_cast<std::uint32_t>(found - '0');
    } else {
      if (found != kPattern[i]) return std::nullopt;
      if (kPattern[i] == 'o') which = 1;
    }
  }
  return SplitName{path.substr(0, start), numbers[0], numbers[1]};
}

std::optional<std::uint64_t> natural(const GgufPart& part, std::string_view key) {
  for (const auto& [name, value] : part.metadata) {
    if (name != key) continue;
    if (const auto* number = std::get_if<std::uint64_t>(&value.data)) return *number;
    if (const auto* number = std::get_if<std::int64_t>(&value.data); number && *number >= 0) {
      return static_cast<std::uint64_t>(*number);
    }
  }
  return std::nullopt;
}

std::string found_number(const std::optional<std::uint64_t>& number) {
  return number ? fmt::format("{}", *number) : std::string("none");
}

// The parts' names, if the name says there are several and they are all there.
std::vector<std::string> part_paths(const std::string& path) {
  const std::optional<SplitName> name = split_name(path);
  if (!name) return {path};
  if (name->count == 0 || name->count > kMostParts || name->part == 0 || name->part > name->count) {
    fail(ErrorKind::bad_input, "{}: part {} of {}: parts count from 1 to at most {}", path,
         name->part, name->count, kMostParts);
  }
  std::vector<std::string> paths;
  std::string missing;
  for (std::uint32_t i = 1; i <= name->count; ++i) {
    paths.push_back(name->path(i));
    std::error_code ignored;
    if (!std::filesystem::exists(paths.back(), ignored)) missing += "\n    " + paths.back();
  }
  if (!missing.empty()) {
    fail(ErrorKind::failure, "{} is one of {} parts; these parts are missing:{}", path, name->count,
         missing);
  }
  return paths;
}

void check_part(const GgufPart& part, const std::string& path, std::size_t index,
                std::size_t count) {
  const auto said_count = natural(part, "split.count");
  if (count == 1 && said_count.value_or(1) <= 1) return;
  const auto said_number = natural(part, "split.no");
  if (said_count != count) {
    throw make_error(ErrorKind::bad_input, "{}: split.count: expected {}, found {}", path, count,
                     found_number(said_count))
        .hint("parts are named NAME-00001-of-0000N.gguf and opened together by that name");
  }
  if (said_number != index) {
    fail(ErrorKind::bad_input, "{}: split.no: expected {}, found {}", path, index,
         found_number(said_number));
  }
}

template <class T>
std::vector<T> numbers(const GgufArray& array) {
  std::vector<T> out(static_cast<std::size_t>(array.count));
  if (!out.empty()) std::memcpy(out.data(), array.bytes.data(), array.bytes.size());
  return out;
}

template <class T, class Out>
void append_numbers(const GgufArray& array, std::vector<Out>& out) {
  for (T value : numbers<T>(array)) out.push_back(static_cast<Out>(value));
}

}  // namespace

std::string GgufValue::str() const {
  if (const auto* v = std::get_if<std::uint64_t>(&data)) return fmt::format("{}", *v);
  if (const auto* v = std::get_if<std::int64_t>(&data)) return fmt::format("{}", *v);
  if (const auto* v = std::get_if<double>(&data)) return fmt::format("{}", *v);
  if (const auto* v = std::get_if<bool>(&data)) return *v ? "true" : "false";
  if (const auto* v = std::get_if<std::string_view>(&data))
    return fmt::format("\"{}\"", printable(*v));
  const auto& array = std::get<GgufArray>(data);
  return fmt::format("array of {} {}", array.count, gguf_type_name(array.type));
}

GgufFile GgufFile::from_bytes(std::span<const std::byte> bytes, std::string name) {
  GgufFile file;
  file.path_ = std::move(name);
  GgufPart part = parse_gguf_part(bytes, file.path_);
  check_part(part, file.path_, 0, 1);
  file.version_ = part.version;
  file.metadata_ = std::move(part.metadata);
  file.tensors_ = std::move(part.tensors);
  file.index_keys();
  return file;
}

GgufFile GgufFile::open(const std::string& path) {
  const std::vector<std::string> paths = part_paths(path);
  GgufFile file;
  file.path_ = paths.front();
  std::optional<std::uint64_t> said_tensors;
  for (std::size_t i = 0; i < paths.size(); ++i) {
    file.files_.emplace_back(paths[i]);
    GgufPart part = parse_gguf_part(file.files_.back().bytes(), paths[i]);
    check_part(part, paths[i], i, paths.size());
    if (i == 0) {
      said_tensors = natural(part, "split.tensors.count");
      file.version_ = part.version;
      file.metadata_ = std::move(part.metadata);
    }
    std::move(part.tensors.begin(), part.tensors.end(), std::back_inserter(file.tensors_));
  }
  if (paths.size() > 1) {
    if (said_tensors && *said_tensors != file.tensors_.size()) {
      fail(ErrorKind::bad_input,
           "{}: split.tensors.count: expected {}, found {} tensors in {} parts", path,
           *said_tensors, file.tensors_.size(), paths.size());
    }
    std::unordered_set<std::string_view> seen;
    for (const TensorRecord& tensor : file.tensors_) {
      if (!seen.insert(tensor.name).second) {
        fail(ErrorKind::bad_input, "{}: the tensor \"{}\" is also in an earlier part", tensor.file,
             printable(tensor.name));
      }
    }
  }
  file.index_keys();
  return file;
}

void GgufFile::index_keys() {
  for (std::size_t i = 0; i < metadata_.size(); ++i) keys_.emplace(metadata_[i].first, i);
}

const GgufValue* GgufFile::find(std::string_view key) const {
  const auto found = keys_.find(key);
  return found == keys_.end() ? nullptr : &metadata_[found->second].second;
}

void GgufFile::wrong_type(std::string_view key, std::string_view expected) const {
  const GgufValue* value = find(key);
  if (!value)
    fail(ErrorKind::bad_input, "{}: metadata \"{}\" is missing; expected {}", path_, key, expected);
  fail(ErrorKind::bad_input, "{}: metadata \"{}\": expected {}, found {} ({})", path_, key,
       expected, value->str(), gguf_type_name(value->type));
}

std::optional<std::uint64_t> GgufFile::optional_u64(std::string_view key) const {
  const GgufValue* value = find(key);
  if (!value) return std::nullopt;
  if (const auto* number = std::get_if<std::uint64_t>(&value->data)) return *number;
  const auto* number = std::get_if<std::int64_t>(&value->data);
  if (!number || *number < 0) wrong_type(key, "an unsigned integer");
  return static_cast<std::uint64_t>(*number);
}

std::optional<std::uint32_t> GgufFile::optional_u32(std::string_view key) const {
  const auto number = optional_u64(key);
  if (!number) return std::nullopt;
  if (*number > std::numeric_limits<std::uint32_t>::max()) wrong_type(key, "an integer below 2^32");
  return static_cast<std::uint32_t>(*number);
}

std::optional<std::int64_t> GgufFile::optional_i64(std::string_view key) const {
  const GgufValue* value = find(key);
  if (!value) return std::nullopt;
  if (const auto* number = std::get_if<std::int64_t>(&value->data)) return *number;
  const auto* number = std::get_if<std::uint64_t>(&value->data);
  if (!number || *number > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) {
    wrong_type(key, "an integer below 2^63");
  }
  return static_cast<std::int64_t>(*number);
}

std::optional<float> GgufFile::optional_f32(std::string_view key) const {
  const GgufValue* value = find(key);
  if (!value) return std::nullopt;
  const auto* number = std::get_if<double>(&value->data);
  if (!number) wrong_type(key, "a float");
  if (std::isfinite(*number) && std::abs(*number) > std::numeric_limits<float>::max()) {
    wrong_type(key, "a float that f32 can hold");
  }
  return static_cast<float>(*number);
}

std::optional<bool> GgufFile::optional_boolean(std::string_view key) const {
  const GgufValue* value = find(key);
  if (!value) return std::nullopt;
  const auto* found = std::get_if<bool>(&value->data);
  if (!found) wrong_type(key, "a bool");
  return *found;
}

std::optional<std::string> GgufFile::optional_string(std::string_view key) const {
  const GgufValue* value = find(key);
  if (!value) return std::nullopt;
  const auto* found = std::get_if<std::string_view>(&value->data);
  if (!found) wrong_type(key, "a string");
  return std::string(*found);
}

namespace {
template <class T, class Missing>
T required(std::optional<T> value, const Missing& missing) {
  if (!value) missing();
  return *std::move(value);
}
}  // namespace

std::uint32_t GgufFile::u32(std::string_view key) const {
  return required(optional_u32(key), [&] { wrong_type(key, "an integer below 2^32"); });
}
std::uint64_t GgufFile::u64(std::string_view key) const {
  return required(optional_u64(key), [&] { wrong_type(key, "an unsigned integer"); });
}
std::int64_t GgufFile::i64(std::string_view key) const {
  return required(optional_i64(key), [&] { wrong_type(key, "an integer"); });
}
float GgufFile::f32(std::string_view key) const {
  return required(optional_f32(key), [&] { wrong_type(key, "a float"); });
}
bool GgufFile::boolean(std::string_view key) const {
  return required(optional_boolean(key), [&] { wrong_type(key, "a bool"); });
}
std::string GgufFile::string(std::string_view key) const {
  return required(optional_string(key), [&] { wrong_type(key, "a string"); });
}

const GgufArray* GgufFile::array(std::string_view key) const {
  const GgufValue* value = find(key);
  if (!value) return nullptr;
  const auto* found = std::get_if<GgufArray>(&value->data);
  if (!found) wrong_type(key, "an array");
  return found;
}

std::vector<std::string_view> GgufFile::strings(std::string_view key) const {
  const GgufArray* found = array(key);
  if (!found) return {};
  if (found->type != GgufType::string) wrong_type(key, "an array of strings");
  std::vector<std::string_view> out;
  out.reserve(static_cast<std::size_t>(found->count));
  ByteCursor cursor(found->bytes);
  for (std::uint64_t i = 0; i < found->count; ++i)
    out.push_back(cursor.string("a string of the array", cursor.remaining()));
  return out;
}

void GgufFile::release_metadata() const {
  for (const MappedFile& file : files_) {
    std::uint64_t data = file.bytes().size();
    for (const TensorRecord& tensor : tensors_) {
      if (tensor.file == file.path()) data = std::min(data, tensor.offset);
    }
    file.dont_need(0, static_cast<std::size_t>(data));
  }
}

std::vector<std::int64_t> GgufFile::integers(std::string_view key) const {
  const GgufArray* found = array(key);
  std::vector<std::int64_t> out;
  if (!found) return out;
  switch (found->type) {
    case GgufType::u8:
      append_numbers<std::uint8_t>(*found, out);
      break;
    case GgufType::i8:
      append_numbers<std::int8_t>(*found, out);
      break;
    case GgufType::u16:
      append_numbers<std::uint16_t>(*found, out);
      break;
    case GgufType::i16:
      append_numbers<std::int16_t>(*found, out);
      break;
    case GgufType::u32:
      append_numbers<std::uint32_t>(*found, out);
      break;
    case GgufType::i32:
      append_numbers<std::int32_t>(*found, out);
      break;
    case GgufType::i64:
      append_numbers<std::int64_t>(*found, out);
      break;
    case GgufType::u64:
      for (std::uint64_t number : numbers<std::uint64_t>(*found)) {
        if (number >> 63) wrong_type(key, "an array of integers below 2^63");
        out.push_back(static_cast<std::int64_t>(number));
      }
      break;
    default:
      wrong_type(key, "an array of integers");
  }
  return out;
}

std::vector<float> GgufFile::floats(std::string_view key) const {
  const GgufArray* found = array(key);
  if (!found) return {};
  if (found->type == GgufType::f32) return numbers<float>(*found);
  if (found->type != GgufType::f64) wrong_type(key, "an array of floats");
  std::vector<float> out;
  append_numbers<double>(*found, out);
  return out;
}

std::vector<std::uint32_t> GgufFile::u32_per_layer(std::string_view key, std::size_t count) const {
  const GgufValue* value = find(key);
  if (!value || !std::holds_alternative<GgufArray>(value->data)) {
    return std::vector<std::uint32_t>(count, u32(key));
  }
  const std::vector<std::int64_t> found = integers(key);
  const std::string expected = fmt::format("an integer below 2^32, or {} of them", count);
  if (found.size() != count) wrong_type(key, expected);
  std::vector<std::uint32_t> out;
  for (std::int64_t number : found) {
    if (number < 0 || number > std::numeric_limits<std::uint32_t>::max()) wrong_type(key, expected);
    out.push_back(static_cast<std::uint32_t>(number));
  }
  return out;
}

}  // namespace nautile::store
