#include "store/output_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>

#include "base/error.h"

namespace nautile::store {
namespace {
constexpr std::size_t kBuffer = std::size_t{1} << 20;
}  // namespace

OutputFile::OutputFile(std::string path)
    : path_(std::move(path)), temporary_(fmt::format("{}.tmp.{}", path_, ::getpid())) {
  descriptor_ = ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (descriptor_ < 0) system_fail("create");
  buffer_.reserve(kBuffer);
}

OutputFile::~OutputFile() {
  if (descriptor_ < 0) return;
  ::close(descriptor_);
  ::unlink(temporary_.c_str());
}

void OutputFile::system_fail(const char* doing) const {
  const int code = errno;
  fail(ErrorKind::failure, "cannot {} {}: {}", doing, temporary_, std::strerror(code));
}

void OutputFile::append(std::span<const std::byte> bytes) {
  offset_ += bytes.size();
  if (buffer_.size() + bytes.size() > kBuffer) flush();
  if (bytes.size() > kBuffer) {
    write(bytes);
  } else {
    buffer_.insert(buffer_.end(), bytes.begin(), bytes.end());
  }
}

void OutputFile::append(std::string_view text) {
  append(std::span(reinterpret_cast<const std::byte*>(text.data()), text.size()));
}

void OutputFile::append_zeros(std::uint64_t count) {
  constexpr std::byte kZeros[256] = {};
  while (count > 0) {
    const std::size_t piece =
        static_cast<std::size_t>(std::min<std::uint64_t>(count, sizeof kZeros));
    append(std::span(kZeros, piece));
    count -= piece;
  }
}

void OutputFile::flush() {
  write(buffer_);
  buffer_.clear();
}

void OutputFile::write(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t put = ::write(descriptor_, bytes.data(), bytes.size());
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) system_fail("write");
    bytes = bytes.subspan(static_cast<std::size_t>(put));
  }
}

void OutputFile::commit() {
  NAUTILE_ASSERT(descriptor_ >= 0, "{} is committed already", path_);
  flush();
  if (::fsync(descriptor_) != 0) system_fail("sync");
  ::close(descriptor_);
  descriptor_ = -1;
  if (::rename(temporary_.c_str(), path_.c_str()) != 0) {
    const int code = errno;
    ::unlink(temporary_.c_str());
    errno = code;
    system_fail("rename");
  }
  // The new name itself must survive a crash.
  const std::string folder = std::filesystem::absolute(path_).parent_path().string();
  const int directory = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (directory < 0) return;
  ::fsync(directory);
  ::close(directory);
}

}  // namespace nautile::store
