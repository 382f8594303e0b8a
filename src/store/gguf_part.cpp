#include "store/gguf_part.h"

#include <algorithm>
#include <unordered_set>

#include "store/byte_cursor.h"

namespace nautile::store {
namespace {

constexpr std::uint64_t kMostKeyBytes = 65535;
constexpr std::uint64_t kMostNameBytes = 64;
constexpr std::uint64_t kDefaultAlignment = 32;
constexpr int kMostArrayDepth = 4;
// The least a string, a key with its value, and a tensor's description can take in the file.
constexpr std::uint64_t kLeastString = 8;
constexpr std::uint64_t kLeastPair = 8 + 4 + 1;
constexpr std::uint64_t kLeastTensor = 8 + 4 + 4 + 8;

// A tensor's description before the data section's start is known.
struct Described {
  TensorRecord record;
  std::uint64_t at = 0;        // of the description
  std::uint64_t relative = 0;  // to the data section
  std::uint64_t bytes = 0;
  bool sized = true;  // false: a type whose size is not known here
};

class Parser {
 public:
  Parser(std::span<const std::byte> bytes, const std::string& path)
      : bytes_(bytes), cursor_(bytes), path_(path) {}

  GgufPart parse() {
    header();
    const std::uint64_t tensor_count = cursor_.count("the number of tensors", kLeastTensor);
    const std::uint64_t pair_count = cursor_.count("the number of metadata pairs", kLeastPair);
    metadata(pair_count);
    descriptions(tensor_count);
    place();
    return std::move(part_);
  }

 private:
  void header();
  void metadata(std::uint64_t count);
  void descriptions(std::uint64_t count);
  Described description();
  void place();
  GgufType value_type(std::string_view what);
  GgufValue value(std::string_view key);
  GgufArray array(std::string_view key, int depth);
  void take_alignment(const GgufValue& value, std::uint64_t at);

  std::span<const std::byte> bytes_;
  ByteCursor cursor_;
  const std::string& path_;
  GgufPart part_;
  std::vector<Described> described_;
  std::uint64_t alignment_ = kDefaultAlignment;
};

void Parser::header() {
  const auto magic = cursor_.raw(4, "the magic number");
  const std::string_view text(reinterpret_cast<const char*>(magic.data()), 4);
  if (text != "GGUF") {
    fail(ErrorKind::bad_input,
         "at byte 0: not a GGUF file: expected the magic \"GGUF\", found \"{}\"", printable(text));
  }
  part_.version = cursor_.number<std::uint32_t>("the version");
  if (part_.version == 2 || part_.version == 3) return;
  if (part_.version == 0x02000000 || part_.version == 0x03000000) {
    fail(ErrorKind::unsupported,
         "at byte 4: this GGUF file is big-endian; nautile reads little-endian ones");
  }
  fail(ErrorKind::unsupported, "at byte 4: GGUF version {}; nautile reads versions 2 and 3",
       part_.version);
}

GgufType Parser::value_type(std::string_view what) {
  const std::uint64_t at = cursor_.offset();
  const auto type = cursor_.number<std::uint32_t>(what);
  if (type >= kGgufTypeCount) {
    fail(ErrorKind::bad_input, "at byte {}: {} is {}, types are below {}", at, what, type,
         kGgufTypeCount);
  }
  return static_cast<GgufType>(type);
}

void Parser::metadata(std::uint64_t count) {
  part_.metadata.reserve(static_cast<std::size_t>(count));
  std::unordered_set<std::string_view> seen;
  for (std::uint64_t i = 0; i < count; ++i) {
    const std::uint64_t at = cursor_.offset();
    const std::string_view key = cursor_.string("a metadata key", kMostKeyBytes);
    if (!seen.insert(key).second) {
      fail(ErrorKind::bad_input, "at byte {}: the metadata key \"{}\" occurs twice", at,
           printable(key));
    }
    try {
      part_.metadata.emplace_back(key, value(key));
      if (key == "general.alignment") take_alignment(part_.metadata.back().second, at);
    } catch (const Error& error) {
      throw error.with("metadata \"{}\"", printable(key));
    }
  }
}

GgufValue Parser::value(std::string_view key) {
  const GgufType type = value_type("its type");
  const std::uint64_t at = cursor_.offset();
  constexpr std::string_view kWhat = "its value";
  const auto natural = [&](auto zero) {
    return GgufValue{type, static_cast<std::uint64_t>(cursor_.number<decltype(zero)>(kWhat))};
  };
  const auto whole = [&](auto zero) {
    return GgufValue{type, static_cast<std::int64_t>(cursor_.number<decltype(zero)>(kWhat))};
  };
  switch (type) {
    case GgufType::u8:
      return natural(std::uint8_t{});
    case GgufType::u16:
      return natural(std::uint16_t{});
    case GgufType::u32:
      return natural(std::uint32_t{});
    case GgufType::u64:
      return natural(std::uint64_t{});
    case GgufType::i8:
      return whole(std::int8_t{});
    case GgufType::i16:
      return whole(std::int16_t{});
    case GgufType::i32:
      return whole(std::int32_t{});
    case GgufType::i64:
      return whole(std::int64_t{});
    case GgufType::f32:
      return {type, static_cast<double>(cursor_.number<float>(kWhat))};
    case GgufType::f64:
      return {type, cursor_.number<double>(kWhat)};
    case GgufType::string:
      return {type, cursor_.string(kWhat, cursor_.remaining())};
    case GgufType::array:
      return {type, array(key, 1)};
    case GgufType::boolean:
      break;
  }
  const auto byte = cursor_.number<std::uint8_t>(kWhat);
  if (byte > 1) fail(ErrorKind::bad_input, "at byte {}: a bool is 0 or 1, found {}", at, byte);
  return {type, byte == 1};
}

GgufArray Parser::array(std::string_view key, int depth) {
  GgufArray found;
  found.type = value_type("its element type");
  if (found.type == GgufType::array) {
    if (depth >= kMostArrayDepth) {
      fail(ErrorKind::bad_input, "at byte {}: arrays nested deeper than {}", cursor_.offset(),
           kMostArrayDepth);
    }
    found.count = cursor_.count("its number of elements", 4 + 8);
    for (std::uint64_t i = 0; i < found.count; ++i) array(key, depth + 1);
    return found;
  }
  if (found.type == GgufType::string) {
    found.count = cursor_.count("its number of elements", kLeastString);
    const ByteCursor start = cursor_;
    for (std::uint64_t i = 0; i < found.count; ++i) {
      cursor_.string("a string of the array", cursor_.remaining());
    }
    found.bytes = ByteCursor(start).raw(cursor_.offset() - start.offset(), "its elements");
    return found;
  }
  const std::uint64_t element = gguf_type_bytes(found.type);
  found.count = cursor_.count("its number of elements", element);
  found.bytes = cursor_.raw(found.count * element, "its elements");
  return found;
}

void Parser::take_alignment(const GgufValue& value, std::uint64_t at) {
  const auto* number = std::get_if<std::uint64_t>(&value.data);
  if (value.type != GgufType::u32 || !number || *number == 0 || *number % 8 != 0) {
    fail(ErrorKind::bad_input, "at byte {}: expected a u32 that is a multiple of 8, found {} ({})",
         at, value.str(), gguf_type_name(value.type));
  }
  alignment_ = *number;
}

Described Parser::description() {
  Described found;
  found.at = cursor_.offset();
  TensorRecord& record = found.record;
  record.name = cursor_.string("a tensor name", kMostNameBytes);
  record.file = path_;
  try {
    const std::uint64_t rank_at = cursor_.offset();
    const auto rank = cursor_.number<std::uint32_t>("its number of dimensions");
    if (rank > Shape::kMaxRank) {
      fail(ErrorKind::bad_input, "at byte {}: {} dimensions, at most {} are allowed", rank_at, rank,
           Shape::kMaxRank);
    }
    std::uint64_t extents[Shape::kMaxRank] = {1, 1, 1, 1};  // ggml order: the contiguous one first
    for (std::uint32_t i = 0; i < rank; ++i)
      extents[i] = cursor_.number<std::uint64_t>("a dimension");
    const auto elements = safe_elements({extents, rank});
    if (!elements)
      fail(ErrorKind::bad_input, "at byte {}: its dimensions multiply to more than 2^62", rank_at);
    for (std::uint32_t i = rank; i-- > 0;)
      record.shape.push_back(static_cast<std::int64_t>(extents[i]));

    const std::uint64_t type_at = cursor_.offset();
    const auto id = cursor_.number<std::uint32_t>("its type");
    const GgmlType* type = ggml_type(id);
    record.dtype = type ? std::string(type->name) : fmt::format("ggml type {}", id);
    record.format = type ? type->format : std::nullopt;
    found.sized = type && type->block > 0;
    if (found.sized) {
      const auto block = static_cast<std::uint64_t>(type->block);
      if (extents[0] % block != 0) {
        fail(ErrorKind::bad_input, "at byte {}: rows of {} values are not whole blocks of {} ({})",
             type_at, extents[0], block, type->name);
      }
      const std::uint64_t blocks = *elements / block;
      if (blocks > bytes_.size()) {
        fail(ErrorKind::bad_input, "at byte {}: {} of {} needs more bytes than the file's {}",
             type_at, record.shape, type->name, bytes_.size());
      }
      found.bytes = blocks * static_cast<std::uint64_t>(type->block_bytes);
    }
    found.relative = cursor_.number<std::uint64_t>("its offset");
  } catch (const Error& error) {
    throw error.with("tensor \"{}\"", printable(record.name));
  }
  return found;
}

void Parser::descriptions(std::uint64_t count) {
  described_.reserve(static_cast<std::size_t>(count));
  std::unordered_set<std::string> seen;
  for (std::uint64_t i = 0; i < count; ++i) {
    described_.push_back(description());
    const Described& last = described_.back();
    if (!seen.insert(last.record.name).second) {
      fail(ErrorKind::bad_input, "at byte {}: the tensor \"{}\" occurs twice", last.at,
           printable(last.record.name));
    }
  }
}

// Gives every tensor its bytes, once the end of the descriptions, and so the data's start, is
// known.
void Parser::place() {
  const std::uint64_t align = alignment_;
  const std::uint64_t start = (cursor_.offset() + align - 1) / align * align;
  const std::uint64_t room = start < bytes_.size() ? bytes_.size() - start : 0;
  std::vector<const Described*> order;
  for (Described& tensor : described_) {
    const auto refuse = [&](const std::string& reason) {
      fail(ErrorKind::bad_input, "at byte {}: tensor \"{}\": {}", tensor.at,
           printable(tensor.record.name), reason);
    };
    if (tensor.relative % align != 0) {
      refuse(fmt::format("its offset {} is not a multiple of {}", tensor.relative, align));
    }
    if (tensor.relative > room || tensor.bytes > room - tensor.relative) {
      refuse(fmt::format(
          "its {} bytes at {} of the data section end past the file's end (the section has "
          "{} bytes; is the file cut short?)",
          tensor.bytes, tensor.relative, room));
    }
    tensor.record.offset = start + tensor.relative;
    tensor.record.data =
        bytes_.subspan(static_cast<std::size_t>(tensor.bytes ? tensor.record.offset : 0),
                       static_cast<std::size_t>(tensor.bytes));
    if (tensor.bytes > 0) order.push_back(&tensor);
  }
  std::sort(order.begin(), order.end(),
            [](const Described* a, const Described* b) { return a->relative < b->relative; });
  for (std::size_t i = 1; i < order.size(); ++i) {
    if (order[i]->relative - order[i - 1]->relative < order[i - 1]->bytes) {
      fail(ErrorKind::bad_input, "at byte {}: tensors \"{}\" and \"{}\" share bytes of the file",
           order[i]->at, printable(order[i - 1]->record.name), printable(order[i]->record.name));
    }
  }
  part_.tensors.reserve(described_.size());
  for (Described& tensor : described_) part_.tensors.push_back(std::move(tensor.record));
}

}  // namespace

GgufPart parse_gguf_part(std::span<const std::byte> bytes, const std::string& path) {
  try {
    return Parser(bytes, path).parse();
  } catch (const Error& error) {
    throw error.with("while reading {}", path);
  }
}

}  // namespace nautile::store
