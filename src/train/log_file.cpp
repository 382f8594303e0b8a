#include "train/log_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/error.h"

namespace nautile::train {

LogFile::LogFile(std::string path) : path_(std::move(path)) {
  fd_ = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
  if (fd_ < 0) fail(ErrorKind::failure, "cannot write {}: {}", path_, std::strerror(errno));
}

LogFile::~LogFile() {
  ::close(fd_);
}

void LogFile::append(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t done = ::write(fd_, bytes.data(), bytes.size());
    if (done < 0 && errno == EINTR) continue;
    if (done < 0) fail(ErrorKind::failure, "cannot write {}: {}", path_, std::strerror(errno));
    bytes.remove_prefix(static_cast<std::size_t>(done));
  }
}

}  // namespace nautile::train
