// program.h — the program from outside: a folder of its own for a test, and runs in it.
#pragma once

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace nautile::test {

namespace fs = std::filesystem;
using nlohmann::json;

struct Result {
  int code = 0;  // 128 + n if signal n ended it
  std::string out, err;
};

inline int exit_code(int status) {
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

inline std::string read_whole(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

#define EXPECT_SAYS(text, part) EXPECT_NE((text).find(part), std::string::npos) << (text)

class ProgramFolder : public ::testing::Test {
 protected:
  void SetUp() override {
    fs::remove_all(folder_);
    fs::create_directories(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }

  // A shell command line in the folder.
  Result run_command(const std::string& line) const {
    const std::string command =
        "cd '" + folder_.string() + "' && (" + line + ") </dev/null >out 2>err";
    const int status = std::system(command.c_str());
    return {exit_code(status), read_whole(folder_ / "out"), read_whole(folder_ / "err")};
  }
  // The program, after `before` (variables, or a command that takes it as arguments).
  Result run(const std::string& arguments, const std::string& before = "") const {
    return run_command(before + " " NAUTILE_BINARY " " + arguments);
  }
  void expect_failure(const std::string& arguments, int code, const std::string& says) const {
    const Result result = run(arguments);
    EXPECT_EQ(result.code, code) << arguments << "\n" << result.err;
    EXPECT_NE(result.err.find(says), std::string::npos) << arguments << "\n" << result.err;
  }
  fs::path write(const std::string& name, const std::string& content) const {
    const fs::path path = folder_ / name;
    fs::create_directories(path.parent_path());
    std::ofstream(path, std::ios::binary) << content;
    return path;
  }
  // A training run's metrics without what clocks say.
  std::vector<json> metrics(const std::string& run) const {
    std::vector<json> lines;
    std::ifstream file(folder_ / run / "metrics.jsonl");
    for (std::string line; std::getline(file, line);) {
      lines.push_back(json::parse(line));
      for (const char* key : {"seconds", "tokens_per_second", "flops_per_second", "mfu"})
        lines.back().erase(key);
    }
    return lines;
  }

  const fs::path folder_ =
      fs::temp_directory_path() / ("nautile_test_" + std::to_string(::getpid()));
};

}  // namespace nautile::test
