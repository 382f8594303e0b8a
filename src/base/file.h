// file.h — files: mapped read-only, read whole, written atomically.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace nautile {

// A file mapped read-only; the bytes live as long as the object. Movable, not copyable.
class MappedFile {
 public:
  // Throws Error(failure) naming the path and the system's reason; a directory is an error.
  explicit MappedFile(const std::string& path);
  ~MappedFile();
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  const std::string& path() const { return path_; }
  std::span<const std::byte> bytes() const { return {data_, size_}; }

  // Tells the kernel that these bytes will be read soon, or are not needed in memory any more.
  void will_need(std::size_t offset, std::size_t size) const;
  void dont_need(std::size_t offset, std::size_t size) const;

 private:
  std::string path_;
  const std::byte* data_ = nullptr;
  std::size_t size_ = 0;
};

// The whole file as a string. Throws Error(failure); Error(bad_input) if larger than max_bytes.
std::string read_file(const std::string& path, std::size_t max_bytes = std::size_t{1} << 30);

// A file written piece by piece through a buffer, under its name only when it is whole. Bytes go to
// a temporary file beside path; commit() fsyncs it, renames it over path and fsyncs the folder:
// after a crash either the old or the new file is there, whole. Without commit(), or when anything
// fails, the temporary file is removed and path is as it was (only a failing fsync of the folder
// comes after the rename). Two writers of one path do not mix; the later commit stays. Throws
// Error(failure) naming the path, the system's reason and the bytes written, for a full disk too;
// the writer is then of no further use. Links are followed, a device or a pipe is written to as is.
class AtomicWriter {
 public:
  // `watch` is told of all bytes on their way to the file, in order: for checksums.
  using Watch = std::function<void(std::span<const std::byte>)>;
  explicit AtomicWriter(std::string path, Watch watch = {});
  ~AtomicWriter();
  AtomicWriter(const AtomicWriter&) = delete;
  AtomicWriter& operator=(const AtomicWriter&) = delete;

  const std::string& path() const { return path_; }
  std::uint64_t size() const { return size_; }  // bytes appended so far
  void append(std::span<const std::byte> bytes);
  void append(std::string_view text) { append(std::as_bytes(std::span(text))); }
  void append_zeros(std::uint64_t count);
  void commit();  // once, last

 private:
  void flush();
  void write(std::span<const std::byte> bytes);

  std::string path_, temporary_;
  Watch watch_;
  int fd_ = -1;
  std::vector<std::byte> buffer_;
  std::uint64_t size_ = 0, written_ = 0;
};

// Makes the names in a folder last (fsync). Throws Error(failure).
void sync_folder(const std::string& folder);

// The whole content at once, as AtomicWriter does.
void write_file_atomic(const std::string& path, std::string_view content);

}  // namespace nautile
