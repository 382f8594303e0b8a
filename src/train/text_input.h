// text_input.h — files of text as they lie on disk, packed by zstd or not, read in pieces.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>

namespace nautile::train {

// The bytes of a file in order; a file that begins like zstd is unpacked. Throws Error(failure)
// where the system fails, Error(bad_input) for damaged or truncated zstd, naming the path. Memory
// is at most zstd's window, 128 MiB.
class ByteInput {
 public:
  explicit ByteInput(std::string path);
  ~ByteInput();
  ByteInput(ByteInput&&) noexcept;

  // Fills a part of `out`; 0 at the end.
  std::size_t read(std::span<char> out);
  const std::string& path() const;
  std::uint64_t consumed() const;  // bytes of the file, as it lies on disk
  std::uint64_t file_size() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// Parts of a file between separators. A part longer than max_bytes is Error(bad_input).
class TextInput {
 public:
  // separator: "\n" for lines (a "\r" before it goes too); empty: the whole file is one part.
  TextInput(std::string path, std::string separator, std::size_t max_bytes);

  // The next part without its separator; false at the end. What follows the last separator is a
  // part if it is not empty.
  bool next(std::string& part);
  std::int64_t line() const { return line_; }  // of the file, from 1, where the last part begins
  const ByteInput& bytes() const { return input_; }

 private:
  bool fill();

  ByteInput input_;
  std::string separator_, buffer_;
  std::size_t max_bytes_, at_ = 0, searched_ = 0;
  std::int64_t line_ = 1, next_line_ = 1;
  bool ended_ = false;
};

}  // namespace nautile::train
