// serve_program.h — `nautile serve` as a process of its own, for tests from outside.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "server/http_testing.h"

namespace nautile::test {

inline constexpr double kPatience = 120;  // seconds that a busy machine may take

// The program, with standard output and error in files; killed at the end if it is still there.
class Program {
 public:
  Program(const std::filesystem::path& folder, std::vector<std::string> arguments,
          std::vector<std::string> environment = {})
      : out_(folder / "out"), err_(folder / "err") {
    std::filesystem::create_directories(folder);
    arguments.insert(arguments.begin(), {NAUTILE_BINARY, "serve"});
    environment.push_back("HOME=" + folder.string());
    environment.push_back("PATH=/nonexistent");
    std::vector<char*> argv, envp;
    for (std::string& word : arguments) argv.push_back(word.data());
    for (std::string& variable : environment) envp.push_back(variable.data());
    argv.push_back(nullptr);
    envp.push_back(nullptr);
    child_ = fork();
    if (child_ == 0) {
      const int out = open(out_.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
      const int err = open(err_.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
      dup2(open("/dev/null", O_RDONLY), 0);
      dup2(out, 1);
      dup2(err, 2);
      execve(argv[0], argv.data(), envp.data());
      _exit(127);
    }
  }
  ~Program() {
    if (child_ > 0) {
      kill(child_, SIGKILL);
      waitpid(child_, nullptr, 0);
    }
  }
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;

  static std::string read(const std::filesystem::path& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  }
  std::string out() const { return read(out_); }
  std::string err() const { return read(err_); }
  // The log's lines of one event.
  std::vector<nlohmann::json> log(const std::string& event) const {
    std::vector<nlohmann::json> lines;
    std::istringstream text(err());
    for (std::string line; std::getline(text, line);) {
      const auto value = nlohmann::json::parse(line, nullptr, false);
      if (value.is_object() && value.value("event", "") == event) lines.push_back(value);
    }
    return lines;
  }

  // Waits until the model is loaded -> the port.
  std::uint16_t port() {
    EXPECT_TRUE(
        server::comes([&] { return out().find('\n') != std::string::npos || over(); }, kPatience))
        << err();
    const std::string text = out();
    const std::size_t colon = text.rfind(':');
    return colon == std::string::npos
               ? std::uint16_t{0}
               : static_cast<std::uint16_t>(std::stoi(text.substr(colon + 1)));
  }
  pid_t pid() const { return child_; }
  void signal(int number) { kill(child_, number); }
  bool over() {
    if (child_ > 0 && waitpid(child_, &status_, WNOHANG) == child_) child_ = -1;
    return child_ < 0;
  }
  // Waits for the end -> the exit code.
  int code(double seconds = kPatience) {
    if (!server::comes([&] { return over(); }, seconds)) return -1;
    return WIFEXITED(status_) ? WEXITSTATUS(status_) : 128 + WTERMSIG(status_);
  }

 private:
  std::filesystem::path out_, err_;
  pid_t child_ = -1;
  int status_ = 0;
};

// The POST of a JSON body; `fields` are header lines with their ends.
inline std::string post(const std::string& path, const nlohmann::json& value,
                        const std::string& fields = "") {
  const std::string body = value.dump();
  return fmt::format(
      "POST {} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n{}"
      "Content-Length: {}\r\n\r\n{}",
      path, fields, body.size(), body);
}

}  // namespace nautile::test
