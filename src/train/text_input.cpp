#include "train/text_input.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zstd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <vector>

#include "base/error.h"

namespace nautile::train {
namespace {

constexpr std::size_t kRead = std::size_t{1} << 18;
constexpr std::string_view kZstdMagic = "\x28\xB5\x2F\xFD";

}  // namespace

struct ByteInput::Impl {
  std::string path;
  int fd = -1;
  std::uint64_t size = 0, consumed = 0;
  std::vector<char> raw;
  std::size_t begin = 0, end = 0;  // what of raw is not used yet
  ZSTD_DCtx* zstd = nullptr;
  bool in_frame = false;  // of zstd: more must follow

  explicit Impl(std::string given) : path(std::move(given)), raw(kRead) {
    fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd < 0) system_fail("open");
    struct stat info {};
    if (::fstat(fd, &info) != 0) system_fail("stat");
    if (S_ISDIR(info.st_mode)) fail(ErrorKind::failure, "cannot read {}: it is a folder", path);
    size = static_cast<std::uint64_t>(info.st_size);
    refill();
    if (std::string_view(raw.data(), end).starts_with(kZstdMagic)) zstd = ZSTD_createDCtx();
  }
  ~Impl() {
    if (fd >= 0) ::close(fd);
    ZSTD_freeDCtx(zstd);
  }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  [[noreturn]] void system_fail(const char* doing) const {
    fail(ErrorKind::failure, "cannot {} {}: {}", doing, path, std::strerror(errno));
  }

  void refill() {
    begin = end = 0;
    for (;;) {
      const ssize_t got = ::read(fd, raw.data(), raw.size());
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) system_fail("read");
      end = static_cast<std::size_t>(got);
      consumed += end;
      return;
    }
  }

  std::size_t unpack(std::span<char> out) {
    ZSTD_outBuffer to = {out.data(), out.size(), 0};
    while (to.pos == 0) {
      if (begin == end) {
        refill();
        if (end == 0) {
          NAUTILE_CHECK(!in_frame, "{} ends in the midst of its zstd data: was it cut?", path);
          return 0;
        }
      }
      ZSTD_inBuffer from = {raw.data() + begin, end - begin, 0};
      const std::size_t rest = ZSTD_decompressStream(zstd, &to, &from);
      NAUTILE_CHECK(!ZSTD_isError(rest), "{}: the zstd data is damaged near byte {}: {}", path,
                    consumed - end + begin, ZSTD_getErrorName(rest));
      begin += from.pos;
      in_frame = rest != 0;
    }
    return to.pos;
  }
};

ByteInput::ByteInput(std::string path) : impl_(std::make_unique<Impl>(std::move(path))) {}
ByteInput::~ByteInput() = default;
ByteInput::ByteInput(ByteInput&&) noexcept = default;

std::size_t ByteInput::read(std::span<char> out) {
  if (impl_->zstd) return impl_->unpack(out);
  if (impl_->begin == impl_->end) impl_->refill();
  const std::size_t count = std::min(out.size(), impl_->end - impl_->begin);
  std::memcpy(out.data(), impl_->raw.data() + impl_->begin, count);
  impl_->begin += count;
  return count;
}

const std::string& ByteInput::path() const {
  return impl_->path;
}
std::uint64_t ByteInput::consumed() const {
  return impl_->consumed;
}
std::uint64_t ByteInput::file_size() const {
  return impl_->size;
}

TextInput::TextInput(std::string path, std::string separator, std::size_t max_bytes)
    : input_(std::move(path)), separator_(std::move(separator)), max_bytes_(max_bytes) {}

bool TextInput::fill() {
  if (ended_) return false;
  if (at_ > 0) {
    buffer_.erase(0, at_);
    searched_ -= std::min(searched_, at_);
    at_ = 0;
  }
  const std::size_t before = buffer_.size();
  buffer_.resize(before + kRead);
  const std::size_t got = input_.read(std::span(buffer_).subspan(before));
  buffer_.resize(before + got);
  ended_ = got == 0;
  return !ended_;
}

bool TextInput::next(std::string& part) {
  line_ = next_line_;
  for (;;) {
    const std::size_t found =
        separator_.empty() ? buffer_.npos : buffer_.find(separator_, std::max(at_, searched_));
    const std::size_t length = (found == buffer_.npos ? buffer_.size() : found) - at_;
    NAUTILE_CHECK(length <= max_bytes_, "{}, line {}: a document has more than {} bytes",
                  input_.path(), line_, max_bytes_);
    if (found != buffer_.npos) {
      part.assign(buffer_, at_, length);
      at_ = found + separator_.size();
      searched_ = at_;
      break;
    }
    // A separator may begin in the last bytes that are there.
    searched_ = std::max(at_, buffer_.size() - std::min(buffer_.size(), separator_.size()));
    if (!fill()) {
      part.assign(buffer_, at_);
      at_ = searched_ = buffer_.size();
      if (part.empty()) return false;
      break;
    }
  }
  next_line_ += std::count(part.begin(), part.end(), '\n') +
                std::count(separator_.begin(), separator_.end(), '\n');
  if (separator_ == "\n" && !part.empty() && part.back() == '\r') part.pop_back();
  return true;
}

}  // namespace nautile::train
