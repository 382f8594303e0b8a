// One model as a Hugging Face folder and as GGUF, both made by tools/make_model from the same seed:
// the families must read the same model from either, in both conventions of llama.cpp's latent
// attention.
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>

#include "base/cpu_features.h"
#include "tests/oracle.h"

namespace nautile::test {
namespace {

namespace fs = std::filesystem;

struct Case {
  const char* oracle;   // whose config.json
  const char* options;  // of make_model for the GGUF
};

class GgufEqualsFolder : public testing::TestWithParam<Case> {
 protected:
  void SetUp() override {
    folder_ = fs::temp_directory_path() / fmt::format("nautile_gguf_{}", ::getpid());
    fs::create_directories(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }

  std::string make(const std::string& out, const std::string& options) const {
    const std::string path = (folder_ / out).string();
    const std::string command =
        fmt::format("{} --config {}/config.json --out {} --format f32 --seed 3 {} >/dev/null 2>&1",
                    NAUTILE_MAKE_MODEL, oracle_path(GetParam().oracle), path, options);
    EXPECT_EQ(std::system(command.c_str()), 0) << command;
    return path;
  }

  fs::path folder_;
};

TEST_P(GgufEqualsFolder, SameLogits) {
  const CpuOptions cpu{cpu_features().best(), 2, ComputeClass::f32};
  const ModelOptions options{.context = 64, .mla = MlaForm::absorbed, .kv_format = Format::f32};
  Runner folder(make("folder", ""), cpu, options),
      gguf(make("model.gguf", GetParam().options), cpu, options);
  std::vector<std::int32_t> tokens;
  for (int i = 0; i < 50; ++i) tokens.push_back(i * 37 % folder.model.config().vocabulary);
  const Distance d =
      measure(run_fresh(gguf, tokens, {0, 20, 50}), run_fresh(folder, tokens, {0, 20, 50}),
              folder.model.config().vocabulary);
  EXPECT_LE(d.relative, 2e-5);
  EXPECT_LE(d.kl, 1e-9);
}

constexpr Case kCases[] = {{"deepseek_v2_greedy", ""},
                           {"deepseek_v2_grouped", ""},
                           {"deepseek_v3", ""},
                           {"deepseek_v3", "--legacy-mla"},
                           {"deepseek_v3_moonlight", ""},
                           {"kimi_k2", ""},
                           {"llama3", ""},
                           {"llama_tied", ""},
                           {"qwen2", ""},
                           {"qwen3", ""},
                           {"qwen3_moe", ""}};
INSTANTIATE_TEST_SUITE_P(Families, GgufEqualsFolder, testing::ValuesIn(kCases), [](const auto& p) {
  return std::string(p.param.oracle) + (*p.param.options ? "_legacy" : "");
});

}  // namespace
}  // namespace nautile::test
