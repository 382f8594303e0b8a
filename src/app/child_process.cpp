#include "app/child_process.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/error.h"

extern char** environ;

namespace nautile::app {
namespace {

constexpr std::size_t kKept = std::size_t{64} << 10;

// The child's three standard streams.
class Streams {
 public:
  explicit Streams(int output) {
    posix_spawn_file_actions_init(&actions_);
    posix_spawn_file_actions_addopen(&actions_, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions_, output, STDOUT_FILENO);
    if (output != STDERR_FILENO) posix_spawn_file_actions_adddup2(&actions_, output, STDERR_FILENO);
  }
  ~Streams() { posix_spawn_file_actions_destroy(&actions_); }
  Streams(const Streams&) = delete;
  Streams& operator=(const Streams&) = delete;
  const posix_spawn_file_actions_t* get() const { return &actions_; }

 private:
  posix_spawn_file_actions_t actions_;
};

// Reads until the child closes its end; keeps the end of what it says.
std::string read_all(int file) {
  std::string text;
  char buffer[4096];
  for (;;) {
    const ssize_t count = read(file, buffer, sizeof buffer);
    if (count < 0 && errno == EINTR) continue;  // the child has the signal too and will end
    if (count <= 0) return text;
    text.append(buffer, static_cast<std::size_t>(count));
    if (text.size() > 2 * kKept) text.erase(0, text.size() - kKept);
  }
}

int wait_for(pid_t child) {
  int status = 0;
  while (waitpid(child, &status, 0) < 0) {
    if (errno != EINTR) return 1;
  }
  return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

// The child meets closed pipes as programs usually do.
class Attributes {
 public:
  Attributes() {
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGPIPE);
    posix_spawnattr_init(&attributes_);
    posix_spawnattr_setsigdefault(&attributes_, &signals);
    posix_spawnattr_setflags(&attributes_, POSIX_SPAWN_SETSIGDEF);
  }
  ~Attributes() { posix_spawnattr_destroy(&attributes_); }
  Attributes(const Attributes&) = delete;
  Attributes& operator=(const Attributes&) = delete;
  const posix_spawnattr_t* get() const { return &attributes_; }

 private:
  posix_spawnattr_t attributes_;
};

}  // namespace

std::string find_program(const std::string& name, const Environment& environment) {
  if (name.find('/') != name.npos) return access(name.c_str(), X_OK) == 0 ? name : "";
  std::size_t at = 0;
  while (at <= environment.path.size()) {
    const std::size_t colon = std::min(environment.path.find(':', at), environment.path.size());
    const std::string candidate = environment.path.substr(at, colon - at) + "/" + name;
    if (colon > at && access(candidate.c_str(), X_OK) == 0) return candidate;
    at = colon + 1;
  }
  return "";
}

ChildResult run_child(const std::vector<std::string>& argv, ChildOutput output,
                      const Environment& environment) {
  const std::string program = find_program(argv.at(0), environment);
  if (program.empty()) fail(ErrorKind::failure, "the program {} is not installed", argv[0]);
  int ends[2] = {-1, -1};
  if (output == ChildOutput::collect && pipe2(ends, O_CLOEXEC) != 0) {
    fail(ErrorKind::failure, "cannot make a pipe: {}", std::strerror(errno));
  }
  std::vector<char*> arguments;
  for (const std::string& argument : argv) arguments.push_back(const_cast<char*>(argument.c_str()));
  arguments.push_back(nullptr);
  pid_t child = 0;
  int error = 0;
  {
    const Streams streams(output == ChildOutput::collect ? ends[1] : STDERR_FILENO);
    const Attributes attributes;
    error = posix_spawn(&child, program.c_str(), streams.get(), attributes.get(), arguments.data(),
                        environ);
  }
  if (ends[1] >= 0) close(ends[1]);
  ChildResult result;
  if (error == 0) {
    if (ends[0] >= 0) result.output = read_all(ends[0]);
    result.exit_code = wait_for(child);
  }
  if (ends[0] >= 0) close(ends[0]);
  if (error != 0) {
    fail(ErrorKind::failure, "cannot start {}: {}", program, std::strerror(error));
  }
  return result;
}

}  // namespace nautile::app
