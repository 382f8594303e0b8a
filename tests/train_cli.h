// train_cli.h — a folder in which tests run `nautile train` from outside.
#pragma once

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>

namespace nautile::test {

namespace fs = std::filesystem;
using nlohmann::json;

inline std::string read_whole(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

// Some 30 thousand parameters.
inline constexpr const char* kRecipe = R"([model]
vocab_size = 400
hidden_size = 32
num_hidden_layers = 2
num_attention_heads = 2
qk_nope_head_dim = 8
qk_rope_head_dim = 8
v_head_dim = 8
q_lora_rank = 16
kv_lora_rank = 16
intermediate_size = 48
n_routed_experts = 4
num_experts_per_tok = 2
moe_intermediate_size = 16
init_std = 0.02
max_position_embeddings = 256

[data]
folder = "data"
seq_len = 128
packing = "whole"
attend = "document"

[train]
steps = 3
batch_tokens = 512
slots = 2

[schedule]
peak_rate = 1e-3
warmup_steps = 2

[eval]
every = 2
tokens = 1000

[samples]
every = 3
tokens = 8
prompts = ["<｜User｜>1 + 2 = ?<｜Assistant｜>"]
)";

class TrainFolder : public ::testing::Test {
 protected:
  struct Result {
    int code = 0;
    std::string out, err;
  };
  void SetUp() override {
    folder_ = fs::temp_directory_path() / ("nautile_train_cli_" + std::to_string(getpid()));
    fs::create_directories(folder_);
    std::ofstream(folder_ / "r.toml") << kRecipe;
  }
  void TearDown() override { fs::remove_all(folder_); }

  // The program in the test's folder, after `before` (a command that takes it as arguments).
  Result run(const std::string& arguments, const std::string& before = "") const {
    const std::string command = "cd '" + folder_.string() + "' && " + before + " " +
                                NAUTILE_BINARY + " " + arguments + " </dev/null >out 2>err";
    const int status = std::system(command.c_str());
    return {WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status),
            read_whole(folder_ / "out"), read_whole(folder_ / "err")};
  }
  void make_data() const {
    ASSERT_EQ(run("data generate arithmetic logic --count 400 --out p.jsonl").code, 0);
    ASSERT_EQ(run("tokenizer train p.jsonl --vocab 400 --out tok").code, 0);
    std::ofstream(folder_ / "spec.toml")
        << "tokenizer = \"tok\"\nheld_out = 0.1\n[[source]]\nname = \"tasks\"\nkind = \"chat\"\n"
           "files = [\"p.jsonl\"]\nnear_duplicates = false\n";
    const Result built = run("data build spec.toml --out data");
    ASSERT_EQ(built.code, 0) << built.err;
  }
  // The lines of metrics without what clocks say.
  std::vector<json> metrics(const std::string& out) const {
    std::vector<json> lines;
    std::ifstream file(folder_ / out / "metrics.jsonl");
    for (std::string line; std::getline(file, line);) {
      lines.push_back(json::parse(line));
      for (const char* key : {"seconds", "tokens_per_second", "flops_per_second", "mfu"})
        lines.back().erase(key);
    }
    return lines;
  }
  std::string checkpoint(const std::string& out, const char* step, const char* file) const {
    return read_whole(folder_ / out / "checkpoints" / step / file);
  }

  fs::path folder_;
};

#define EXPECT_SAYS(text, part) EXPECT_NE((text).find(part), std::string::npos) << (text)

}  // namespace nautile::test
