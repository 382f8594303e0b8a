// session_file.cpp — a session on disk: header, fingerprint, tokens, pages, checksum.
//
// Little-endian. "NAUTSES1" · u32 length and bytes of the fingerprint · u8 cache format · u64 bytes
// per page · u64 tokens · i32 × tokens · pages whole, in order · u64 XXH3 of all before it.
#include <xxhash.h>

#include <cstring>

#include "base/error.h"
#include "base/file.h"
#include "engine/session.h"

namespace nautile::engine {
namespace {

constexpr std::string_view kMagic = "NAUTSES1";

class Writer {
 public:
  explicit Writer(const std::string& path) : file_(path), hash_(XXH3_createState()) {
    XXH3_64bits_reset(hash_);
  }
  ~Writer() { XXH3_freeState(hash_); }
  Writer(const Writer&) = delete;
  Writer& operator=(const Writer&) = delete;

  void put(std::span<const std::byte> bytes) {
    XXH3_64bits_update(hash_, bytes.data(), bytes.size());
    file_.append(bytes);
  }
  template <class T>
  void number(T value) {
    put(std::as_bytes(std::span(&value, 1)));
  }
  void finish() {
    const std::uint64_t sum = XXH3_64bits_digest(hash_);
    file_.append(std::as_bytes(std::span(&sum, 1)));
    file_.commit();
  }

 private:
  AtomicWriter file_;
  XXH3_state_t* hash_;
};

// Walks the mapped file; every read is checked against what is there.
class Reader {
 public:
  Reader(std::span<const std::byte> bytes, const std::string& path) : bytes_(bytes), path_(path) {}

  std::span<const std::byte> take(std::uint64_t size, const char* what) {
    NAUTILE_CHECK(size <= bytes_.size() - at_, "{}: at byte {}: {} needs {} bytes, {} are left",
                  path_, at_, what, size, bytes_.size() - at_);
    const auto part = bytes_.subspan(at_, static_cast<std::size_t>(size));
    at_ += static_cast<std::size_t>(size);
    return part;
  }
  template <class T>
  T number(const char* what) {
    T value;
    std::memcpy(&value, take(sizeof value, what).data(), sizeof value);
    return value;
  }
  std::size_t at() const { return at_; }

 private:
  std::span<const std::byte> bytes_;
  const std::string& path_;
  std::size_t at_ = 0;
};

}  // namespace

void Session::save(const std::string& path, std::string_view fingerprint) const {
  Writer out(path);
  out.put(std::as_bytes(std::span(kMagic)));
  out.number(static_cast<std::uint32_t>(fingerprint.size()));
  out.put(std::as_bytes(std::span(fingerprint)));
  out.number(static_cast<std::uint8_t>(options_.kv_format));
  out.number(static_cast<std::uint64_t>(pages_.page_bytes()));
  out.number(static_cast<std::uint64_t>(tokens_.size()));
  out.put(std::as_bytes(std::span(tokens_)));
  for (std::int32_t page : held_) out.put({pages_.data(page), pages_.page_bytes()});
  out.finish();
}

void Session::load(const std::string& path, std::string_view fingerprint) {
  const MappedFile file(path);
  Reader in(file.bytes(), path);
  const auto magic = in.take(kMagic.size(), "the magic");
  NAUTILE_CHECK(std::memcmp(magic.data(), kMagic.data(), kMagic.size()) == 0,
                "{} is not a session file of nautile", path);
  const auto found = in.take(in.number<std::uint32_t>("a length"), "the fingerprint");
  const std::string_view model(reinterpret_cast<const char*>(found.data()), found.size());
  NAUTILE_CHECK(model == fingerprint, "{} was saved with another model: expected '{}', found '{}'",
                path, fingerprint, model.substr(0, 200));
  const std::uint8_t format = in.number<std::uint8_t>("the cache format");
  NAUTILE_CHECK(format == static_cast<std::uint8_t>(options_.kv_format),
                "{} has a cache of another format (code {}) than this session's {}", path, format,
                info(options_.kv_format).name);
  const std::uint64_t page_bytes = in.number<std::uint64_t>("the page size"),
                      count = in.number<std::uint64_t>("the token count");
  NAUTILE_CHECK(page_bytes == pages_.page_bytes(), "{}: pages of {} bytes, expected {}", path,
                page_bytes, pages_.page_bytes());
  if (count > static_cast<std::uint64_t>(options_.context)) {
    fail(ErrorKind::usage, "{} holds {} tokens; the context of this session has room for {}", path,
         count, options_.context);
  }
  std::vector<std::int32_t> tokens(static_cast<std::size_t>(count));
  std::memcpy(tokens.data(), in.take(count * 4, "the tokens").data(), tokens.size() * 4);
  for (std::int32_t token : tokens) {
    NAUTILE_CHECK(token >= 0 && token < model_.config().vocabulary,
                  "{}: token {} is outside the vocabulary", path, token);
  }
  const std::uint64_t pages = (count + KvPages::kPageTokens - 1) / KvPages::kPageTokens;
  const auto rows = in.take(pages * page_bytes, "the cache");
  const std::uint64_t expected = XXH3_64bits(file.bytes().data(), in.at());
  NAUTILE_CHECK(in.number<std::uint64_t>("the checksum") == expected,
                "{} is damaged: its checksum does not match", path);
  truncate(0);
  make_room(static_cast<std::int64_t>(count));
  for (std::size_t page = 0; page < held_.size(); ++page) {
    std::memcpy(pages_.data(held_[page]), rows.data() + page * page_bytes,
                static_cast<std::size_t>(page_bytes));
  }
  tokens_ = std::move(tokens);
}

}  // namespace nautile::engine
