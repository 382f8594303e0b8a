// terminal.h — Terminal: a program at the other end of a pseudo-terminal, for tests of dialogue.
#pragma once

#include <gtest/gtest.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <string>
#include <utility>
#include <vector>

namespace nautile::test {

// Types keys and waits for texts: never for time, so that a busy machine only makes it slower.
class Terminal {
 public:
  static constexpr std::chrono::seconds kPatience{180};

  // Whether there are pseudo-terminals here: a root without a mounted /dev/pts has none.
  static bool available() {
    int master = -1, slave = -1;
    if (openpty(&master, &slave, nullptr, nullptr, nullptr) != 0) return false;
    close(master);
    close(slave);
    return true;
  }

  // Starts `command` with these variables ("NAME=value") and no others.
  Terminal(std::vector<std::string> command, std::vector<std::string> environment) {
    std::vector<char*> argv, envp;
    for (std::string& word : command) argv.push_back(word.data());
    for (std::string& variable : environment) envp.push_back(variable.data());
    argv.push_back(nullptr);
    envp.push_back(nullptr);
    winsize size = {};
    size.ws_row = 50;
    size.ws_col = 250;  // no line of the tests is wrapped
    child_ = forkpty(&master_, nullptr, nullptr, &size);
    if (child_ == 0) {
      execve(argv[0], argv.data(), envp.data());
      _exit(127);
    }
    EXPECT_GT(child_, 0) << "forkpty failed";
  }
  ~Terminal() {
    if (child_ > 0) {
      kill(child_, SIGKILL);
      waitpid(child_, nullptr, 0);
    }
    if (master_ >= 0) close(master_);
  }
  Terminal(const Terminal&) = delete;
  Terminal& operator=(const Terminal&) = delete;

  void type(const std::string& keys) {
    for (std::size_t done = 0; done < keys.size();) {
      const ssize_t put = write(master_, keys.data() + done, keys.size() - done);
      ASSERT_GT(put, 0) << "the program reads no more";
      done += static_cast<std::size_t>(put);
    }
  }

  // Reads on until `text` comes after what was waited for before; false if the program ends first
  // or patience does. Escape sequences and carriage returns do not count as text.
  bool wait_for(const std::string& text) {
    const auto end = std::chrono::steady_clock::now() + kPatience;
    while (true) {
      const std::size_t at = seen_.find(text, read_to_);
      if (at != std::string::npos) {
        read_to_ = at + text.size();
        return true;
      }
      if (!read_more(end)) return false;
    }
  }

  // What came since the text last waited for, for messages of failed tests.
  std::string rest() const { return seen_.substr(read_to_); }

  // Reads to the end -> the exit code, 128 + signal, or -1 if it does not end.
  int exit_code() {
    const auto end = std::chrono::steady_clock::now() + kPatience;
    while (read_more(end)) {
    }
    if (!ended_) return -1;
    int status = 0;
    if (waitpid(std::exchange(child_, -1), &status, 0) < 0) return -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }

 private:
  bool read_more(std::chrono::steady_clock::time_point end) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
        end - std::chrono::steady_clock::now());
    pollfd input = {master_, POLLIN, 0};
    if (ended_ || left.count() <= 0 || poll(&input, 1, static_cast<int>(left.count())) <= 0)
      return false;
    char buffer[4096];
    const ssize_t count = read(master_, buffer, sizeof buffer);
    if (count <= 0) {  // EIO: the other end is closed
      ended_ = true;
      return false;
    }
    for (ssize_t i = 0; i < count; ++i) take(buffer[i]);
    return true;
  }

  void take(char c) {
    if (escape_ == Escape::none) {
      if (c == '\033') {
        escape_ = Escape::begun;
      } else if (c != '\r') {
        seen_ += c;
      }
    } else if (escape_ == Escape::begun) {
      escape_ = c == '[' ? Escape::control : Escape::none;
    } else if (c >= '@' && c <= '~') {
      escape_ = Escape::none;
    }
  }

  enum class Escape { none, begun, control };

  pid_t child_ = -1;
  int master_ = -1;
  bool ended_ = false;
  Escape escape_ = Escape::none;
  std::string seen_;
  std::size_t read_to_ = 0;
};

}  // namespace nautile::test
