#include "base/file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <utility>

#include "base/error.h"

namespace nautile {
namespace {

// Closes on scope exit.
struct Descriptor {
  int fd = -1;
  ~Descriptor() {
    if (fd >= 0) ::close(fd);
  }
};

[[noreturn]] void system_fail(const char* doing, const std::string& path) {
  const int code = errno;
  fail(ErrorKind::failure, "cannot {} {}: {}", doing, path, std::strerror(code));
}

std::size_t regular_size(int fd, const std::string& path) {
  struct stat info {};
  if (::fstat(fd, &info) != 0) system_fail("stat", path);
  if (!S_ISREG(info.st_mode)) fail(ErrorKind::failure, "cannot read {}: not a regular file", path);
  return static_cast<std::size_t>(info.st_size);
}

// Where links from `path` on end, whether or not anything is there.
std::string link_target(const std::string& path) {
  namespace fs = std::filesystem;
  fs::path at(path);
  std::error_code error;
  for (int i = 0; i < 40 && fs::is_symlink(at, error); ++i) {
    const fs::path next = fs::read_symlink(at, error);
    if (error) break;
    at = at.parent_path() / next;  // an absolute one replaces the folder
  }
  return at.string();
}

}  // namespace

MappedFile::MappedFile(const std::string& path) : path_(path) {
  Descriptor file{::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
  if (file.fd < 0) system_fail("open", path);
  size_ = regular_size(file.fd, path);
  if (size_ == 0) return;
  void* address = ::mmap(nullptr, size_, PROT_READ, MAP_SHARED, file.fd, 0);
  if (address == MAP_FAILED) system_fail("map", path);
  data_ = static_cast<const std::byte*>(address);
}

MappedFile::~MappedFile() {
  if (data_) ::munmap(const_cast<std::byte*>(data_), size_);
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : path_(std::move(other.path_)),
      data_(std::exchange(other.data_, nullptr)),
      size_(std::exchange(other.size_, 0)) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

namespace {
void advise(const std::byte* data, std::size_t total, std::size_t offset, std::size_t size,
            int advice) {
  if (!data || offset >= total) return;
  const std::size_t page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  const std::size_t begin = offset / page * page;
  const std::size_t end = std::min(total, offset + size);
  ::madvise(const_cast<std::byte*>(data) + begin, end - begin, advice);
}
}  // namespace

void MappedFile::will_need(std::size_t offset, std::size_t size) const {
  advise(data_, size_, offset, size, MADV_WILLNEED);
}

void MappedFile::dont_need(std::size_t offset, std::size_t size) const {
  advise(data_, size_, offset, size, MADV_DONTNEED);
}

std::string read_file(const std::string& path, std::size_t max_bytes) {
  Descriptor file{::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
  if (file.fd < 0) system_fail("open", path);
  const std::size_t size = regular_size(file.fd, path);
  if (size > max_bytes) {
    fail(ErrorKind::bad_input, "{} has {} bytes; at most {} are read here", path, size, max_bytes);
  }
  std::string content(size, '\0');
  std::size_t done = 0;
  while (done < size) {
    const ssize_t got = ::read(file.fd, content.data() + done, size - done);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) system_fail("read", path);
    if (got == 0) break;
    done += static_cast<std::size_t>(got);
  }
  content.resize(done);
  return content;
}

namespace {

constexpr std::size_t kBuffer = std::size_t{1} << 20;
constexpr int kMostNames = 1000;  // temporary files of one process for one path

std::string folder_of(const std::string& path) {
  return std::filesystem::absolute(path).parent_path().string();
}

// Open, or none where it may not be read.
Descriptor open_folder(const std::string& folder) {
  Descriptor directory{::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
  if (directory.fd < 0 && errno != EACCES) system_fail("open", folder);
  return directory;
}

// Some file systems keep names without being asked and refuse to be asked.
void sync_names(const Descriptor& open, const std::string& folder) {
  if (open.fd >= 0 && ::fsync(open.fd) != 0 && errno != EINVAL && errno != ENOTSUP)
    system_fail("sync the folder", folder);
}

}  // namespace

AtomicWriter::AtomicWriter(std::string path, Watch watch)
    : path_(std::move(path)), watch_(std::move(watch)) {
  struct stat status;
  if (::stat(path_.c_str(), &status) == 0 && !S_ISREG(status.st_mode) && !S_ISDIR(status.st_mode)) {
    fd_ = ::open(path_.c_str(), O_WRONLY | O_CLOEXEC);
    if (fd_ < 0) system_fail("write", path_);
    return;
  }
  path_ = link_target(path_);
  for (int i = 0; i < kMostNames; ++i) {
    temporary_ = fmt::format("{}.tmp.{}.{}", path_, ::getpid(), i);
    fd_ = ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (fd_ >= 0) return;
    if (errno != EEXIST) break;
  }
  system_fail("create", temporary_);
}

AtomicWriter::~AtomicWriter() {
  if (fd_ < 0) return;
  ::close(fd_);
  if (!temporary_.empty()) ::unlink(temporary_.c_str());
}

void AtomicWriter::append(std::span<const std::byte> bytes) {
  size_ += bytes.size();
  if (watch_) watch_(bytes);
  if (buffer_.size() + bytes.size() > kBuffer) flush();
  if (bytes.size() >= kBuffer) {
    write(bytes);
  } else {
    buffer_.insert(buffer_.end(), bytes.begin(), bytes.end());
  }
}

void AtomicWriter::append_zeros(std::uint64_t count) {
  constexpr std::byte kZeros[256] = {};
  while (count > 0) {
    const auto piece = static_cast<std::size_t>(std::min<std::uint64_t>(count, sizeof kZeros));
    append(std::span(kZeros, piece));
    count -= piece;
  }
}

void AtomicWriter::flush() {
  write(buffer_);
  buffer_.clear();
}

// A full disk may take a part of the bytes first and tell at the next attempt.
void AtomicWriter::write(std::span<const std::byte> bytes) {
  NAUTILE_ASSERT(fd_ >= 0, "{} is committed already", path_);
  while (!bytes.empty()) {
    const ssize_t put = ::write(fd_, bytes.data(), bytes.size());
    if (put < 0 && errno == EINTR) continue;
    if (put <= 0) {
      const char* reason = put < 0 ? std::strerror(errno) : "the system takes no more bytes";
      fail(ErrorKind::failure, "cannot write {}: {} (after {} bytes of it)", path_, reason,
           written_);
    }
    written_ += static_cast<std::uint64_t>(put);
    bytes = bytes.subspan(static_cast<std::size_t>(put));
  }
}

void AtomicWriter::commit() {
  flush();
  if (temporary_.empty()) {
    ::close(std::exchange(fd_, -1));
    return;
  }
  const std::string name = folder_of(path_);
  const Descriptor folder = open_folder(name);
  if (::fsync(fd_) != 0) system_fail("sync", path_);
  if (::rename(temporary_.c_str(), path_.c_str()) != 0) {
    const int code = errno;
    fail(ErrorKind::failure, "cannot rename {} to {}: {}", temporary_, path_, std::strerror(code));
  }
  ::close(std::exchange(fd_, -1));
  sync_names(folder, name);
}

void sync_folder(const std::string& folder) {
  sync_names(open_folder(folder), folder);
}

void write_file_atomic(const std::string& path, std::string_view content) {
  AtomicWriter writer(path);
  writer.append(content);
  writer.commit();
}

}  // namespace nautile
