// log_file.h — LogFile: a file that grows, whose every piece is with the system when append ends.
#pragma once

#include <string>
#include <string_view>

namespace nautile::train {

class LogFile {
 public:
  // Appends to what is there. Throws Error(failure) naming the path.
  explicit LogFile(std::string path);
  ~LogFile();
  LogFile(const LogFile&) = delete;
  LogFile& operator=(const LogFile&) = delete;

  // Throws Error(failure) naming path and reason (a full disk).
  void append(std::string_view bytes);
  const std::string& path() const { return path_; }

 private:
  std::string path_;
  int fd_ = -1;
};

}  // namespace nautile::train
