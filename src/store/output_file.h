// output_file.h — OutputFile: a large file written piece by piece, in place only when it is whole.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace nautile::store {

// Writes to a temporary file beside `path`; commit() fsyncs it and renames it over `path`. Without
// a commit the temporary file is removed. Not copyable, not movable. Throws Error(failure).
class OutputFile {
 public:
  explicit OutputFile(std::string path);
  ~OutputFile();
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;

  const std::string& path() const { return path_; }
  std::uint64_t offset() const { return offset_; }  // bytes appended so far
  void append(std::span<const std::byte> bytes);
  void append(std::string_view text);
  void append_zeros(std::uint64_t count);
  void commit();

 private:
  void flush();
  void write(std::span<const std::byte> bytes);
  [[noreturn]] void system_fail(const char* doing) const;

  std::string path_;
  std::string temporary_;
  int descriptor_ = -1;
  std::vector<std::byte> buffer_;
  std::uint64_t offset_ = 0;
};

}  // namespace nautile::store
