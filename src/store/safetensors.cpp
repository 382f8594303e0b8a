#include "store/safetensors.h"

#include <algorithm>

#include "base/error.h"
#include "base/json.h"
#include "store/byte_cursor.h"

namespace nautile::store {
namespace {

using nlohmann::json;

constexpr std::uint64_t kMostHeaderBytes = 100'000'000;  // the limit of the format's own library

struct Dtype {
  std::string_view name;
  int bits;
  std::optional<Format> format;
};

constexpr Dtype kDtypes[] = {
    {"F32", 32, Format::f32},
    {"F16", 16, Format::f16},
    {"BF16", 16, Format::bf16},
    {"I32", 32, Format::i32},
    {"F8_E4M3", 8, Format::f8_e4m3},
    {"F8_E8M0", 8, {}},
    {"F8_E5M2", 8, {}},
    {"F8_E4M3FNUZ", 8, {}},
    {"F8_E5M2FNUZ", 8, {}},
    {"F6_E2M3", 6, {}},
    {"F6_E3M2", 6, {}},
    {"F4", 4, {}},
    {"F64", 64, {}},
    {"I64", 64, {}},
    {"U64", 64, {}},
    {"U32", 32, {}},
    {"I16", 16, {}},
    {"U16", 16, {}},
    {"I8", 8, {}},
    {"U8", 8, {}},
    {"BOOL", 8, {}},
    {"C64", 64, {}},
};

const Dtype* find_dtype(std::string_view name) {
  for (const Dtype& dtype : kDtypes) {
    if (dtype.name == name) return &dtype;
  }
  return nullptr;
}

std::uint64_t natural(const json& value, std::string_view what) {
  if (!value.is_number_unsigned()) {
    fail(ErrorKind::bad_input, "{}: expected an unsigned integer, found {}", what,
         printable(value.dump()));
  }
  return value.get<std::uint64_t>();
}

const json& list(const json& entry, const char* name) {
  const json& found = json_member(entry, name, "its entry");
  if (!found.is_array()) {
    fail(ErrorKind::bad_input, "\"{}\": expected an array, found {}", name, found.type_name());
  }
  return found;
}

// One entry of the header; data_start is where the data section begins in `bytes`.
TensorRecord read_entry(const json& entry, std::span<const std::byte> bytes,
                        std::uint64_t data_start) {
  TensorRecord record;
  const json& dtype_name = json_member(entry, "dtype", "its entry");
  if (!dtype_name.is_string()) {
    fail(ErrorKind::bad_input, "\"dtype\": expected a string, found {}", dtype_name.type_name());
  }
  record.dtype = printable(dtype_name.get_ref<const std::string&>(), 32);

  const json& shape = list(entry, "shape");
  if (shape.size() > Shape::kMaxRank) {
    fail(ErrorKind::unsupported, "\"shape\" has {} dimensions; nautile reads tensors of at most {}",
         shape.size(), Shape::kMaxRank);
  }
  std::vector<std::uint64_t> extents;
  for (const json& extent : shape) extents.push_back(natural(extent, "\"shape\""));
  const auto elements = safe_elements(extents);
  if (!elements)
    fail(ErrorKind::bad_input, "\"shape\" {} multiplies to more than 2^62", shape.dump());
  for (std::uint64_t extent : extents) record.shape.push_back(static_cast<std::int64_t>(extent));

  const json& offsets = list(entry, "data_offsets");
  if (offsets.size() != 2) {
    fail(ErrorKind::bad_input, "\"data_offsets\": expected [begin, end], found {} numbers",
         offsets.size());
  }
  const std::uint64_t begin = natural(offsets[0], "\"data_offsets\"");
  const std::uint64_t end = natural(offsets[1], "\"data_offsets\"");
  const std::uint64_t room = bytes.size() - data_start;
  if (begin > end || end > room) {
    fail(ErrorKind::bad_input,
         "\"data_offsets\" [{}, {}] do not lie in the data section of {} bytes (is the file cut "
         "short?)",
         begin, end, room);
  }
  if (const Dtype* dtype = find_dtype(record.dtype)) {
    record.format = dtype->format;
    const auto bits = static_cast<std::uint64_t>(dtype->bits);
    // The first test keeps the product of the second far from overflow.
    if (*elements > room * 8 || *elements * bits != (end - begin) * 8) {
      fail(ErrorKind::bad_input, "{} {} does not fit its {} bytes", record.dtype, record.shape,
           end - begin);
    }
  }
  record.offset = data_start + begin;
  record.data =
      bytes.subspan(static_cast<std::size_t>(record.offset), static_cast<std::size_t>(end - begin));
  return record;
}

std::map<std::string, std::string> read_notes(const json& entry, std::size_t at) {
  std::map<std::string, std::string> notes;
  if (!entry.is_object()) {
    fail(ErrorKind::bad_input, "at byte {}: \"__metadata__\": expected an object, found {}", at,
         entry.type_name());
  }
  for (const auto& [name, value] : entry.items()) {
    if (!value.is_string()) {
      fail(ErrorKind::bad_input, "\"__metadata__\": \"{}\": expected a string, found {}",
           printable(name), value.type_name());
    }
    notes.emplace(name, value.get<std::string>());
  }
  return notes;
}

// The tensors, sorted by their bytes, must cover the data section without gap or overlap.
void check_cover(const std::vector<TensorRecord>& tensors, std::uint64_t data_start,
                 std::uint64_t size) {
  std::uint64_t at = data_start;
  for (const TensorRecord& tensor : tensors) {
    if (tensor.offset != at) {
      fail(ErrorKind::bad_input,
           "at byte {}: tensor \"{}\" begins at {} of the file; the one before ends at {} ({})", at,
           printable(tensor.name), tensor.offset, at,
           tensor.offset < at ? "they share bytes" : "a gap");
    }
    at += tensor.data.size();
  }
  if (at != size) {
    fail(ErrorKind::bad_input, "at byte {}: {} bytes after the last tensor belong to none", at,
         size - at);
  }
}

}  // namespace

std::optional<int> safetensors_dtype_bits(std::string_view dtype) {
  const Dtype* found = find_dtype(dtype);
  return found ? std::optional(found->bits) : std::nullopt;
}

std::optional<Format> safetensors_format(std::string_view dtype) {
  const Dtype* found = find_dtype(dtype);
  return found ? found->format : std::nullopt;
}

std::optional<std::string_view> safetensors_dtype(Format format) {
  for (const Dtype& dtype : kDtypes) {
    if (dtype.format == format) return dtype.name;
  }
  return std::nullopt;
}

void SafetensorsFile::parse(std::span<const std::byte> bytes) {
  ByteCursor cursor(bytes);
  const auto header_bytes = cursor.number<std::uint64_t>("the header's length");
  if (header_bytes > kMostHeaderBytes || header_bytes > cursor.remaining()) {
    fail(ErrorKind::bad_input,
         "at byte 0: the header's length is {}; the file has {} bytes after it and headers have at "
         "most {}",
         header_bytes, cursor.remaining(), kMostHeaderBytes);
  }
  const auto header = cursor.raw(header_bytes, "the header");
  const std::string_view text(reinterpret_cast<const char*>(header.data()), header.size());
  const json entries = parse_json(text, "the header (from byte 8 of the file)");
  if (!entries.is_object()) {
    fail(ErrorKind::bad_input, "at byte 8: the header is not a JSON object but {}",
         entries.type_name());
  }
  for (const auto& [name, entry] : entries.items()) {
    if (name == "__metadata__") {
      notes_ = read_notes(entry, 8 + key_offset(text, name));
      continue;
    }
    try {
      tensors_.push_back(read_entry(entry, bytes, cursor.offset()));
    } catch (const Error& error) {
      throw error.with("at byte {}: tensor \"{}\"", 8 + key_offset(text, name), printable(name));
    }
    tensors_.back().name = name;
    tensors_.back().file = path_;
  }
  std::sort(tensors_.begin(), tensors_.end(), [](const TensorRecord& a, const TensorRecord& b) {
    return std::pair(a.offset, a.data.size()) < std::pair(b.offset, b.data.size());
  });
  check_cover(tensors_, cursor.offset(), bytes.size());
}

SafetensorsFile SafetensorsFile::from_bytes(std::span<const std::byte> bytes, std::string name) {
  SafetensorsFile file;
  file.path_ = std::move(name);
  try {
    file.parse(bytes);
  } catch (const Error& error) {
    throw error.with("while reading {}", file.path_);
  }
  return file;
}

SafetensorsFile SafetensorsFile::open(const std::string& path) {
  MappedFile mapped(path);
  SafetensorsFile file = from_bytes(mapped.bytes(), path);
  file.file_ = std::move(mapped);
  return file;
}

}  // namespace nautile::store
