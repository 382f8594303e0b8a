// export_cli_test.cpp — from outside: nautile export.
#include <set>

#include "base/file.h"
#include "model/loader.h"
#include "tests/program.h"
#include "train/run_testing.h"

namespace nautile::test {
namespace {

constexpr const char* kTokenizer = R"({
  "version": "1.0",
  "added_tokens": [
    {"id": 2, "content": "<eos>", "single_word": false, "lstrip": false, "rstrip": false,
     "normalized": false, "special": true}],
  "normalizer": null, "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false,
  "trim_offsets": true, "use_regex": true}, "post_processor": null,
  "decoder": {"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true},
  "model": {"type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
  "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false, "ignore_merges": false,
  "vocab": {"a": 0, "b": 1, "<eos>": 2}, "merges": []}})";

class ExportCli : public ::testing::Test {
 protected:
  ExportCli()
      : temporary_("export_cli"),
        data_(train::make_tiny_data(temporary_.file("data"))),
        run_(train::tiny_trainer_config(), 1, data_) {
    train::RunFolder folder(temporary_.file("run"), train::RunFolder::Use::train);
    for (int i = 0; i < 2; ++i) {
      run_.step();
      folder.save(run_.trainer, run_.state());
    }
    folder.wait();
  }

  Result nautile(const std::string& arguments) const {
    const std::string command = "cd '" + temporary_.path() + "' && " + NAUTILE_BINARY + " " +
                                arguments + " </dev/null >out 2>err";
    const int status = std::system(command.c_str());
    return {exit_code(status), read_file(temporary_.file("out")),
            read_file(temporary_.file("err"))};
  }
  void expect_failure(const std::string& arguments, int code, const std::string& says) const {
    const Result result = nautile(arguments);
    EXPECT_EQ(result.code, code) << arguments << "\n" << result.err;
    EXPECT_NE(result.err.find(says), std::string::npos) << arguments << "\n" << result.err;
  }

  train::TemporaryFolder temporary_;
  train::DataFolder data_;
  train::TinyRun run_;
};

TEST_F(ExportCli, WritesWhatIsAsked) {
  Result result = nautile("export run --to newest");
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_NE(result.out.find("newest: step 2, "), std::string::npos) << result.out;
  EXPECT_NE(result.err.find("has no tokenizer"), std::string::npos) << result.err;
  fs::create_directories(temporary_.file("run/tokenizer"));
  write_file_atomic(temporary_.file("run/tokenizer/tokenizer.json"), kTokenizer);
  write_file_atomic(temporary_.file("run/tokenizer/tokenizer_config.json"),
                    R"({"eos_token": "<eos>"})");
  for (const char* arguments : {"--to first --step 1", "--to mean --ema", "--to fp8 --format fp8",
                                "--to no-mtp --without-mtp"}) {
    result = nautile(std::string("export run ") + arguments);
    EXPECT_EQ(result.code, 0) << result.err;
    EXPECT_EQ(result.err, "");
  }
  std::set<std::string> different;
  for (const char* folder : {"newest", "first", "mean", "fp8", "no-mtp"}) {
    Checkpoint::open(temporary_.file(folder)).weights();
    different.insert(read_file(temporary_.file(std::string(folder) + "/model.safetensors")));
    EXPECT_EQ(fs::exists(temporary_.file(std::string(folder) + "/tokenizer.json")),
              std::string(folder) != "newest");
  }
  EXPECT_EQ(different.size(), 5u);
  EXPECT_EQ(Checkpoint::open(temporary_.file("no-mtp")).config().mtp_layers, 0);
}

TEST_F(ExportCli, SaysWhatIsWrong) {
  expect_failure("export", 2, "run is required");
  expect_failure("export run", 2, "--to is required");
  expect_failure("export run --to x --format f16", 2, "--format");
  expect_failure("export run --to x --step 7", 2, "it has those of 1, 2");
  expect_failure("export nowhere --to x", 1, "no such folder");
  expect_failure("export data --to x", 2, "data has no checkpoint");
  expect_failure("export run --to data", 2, "data is there already");
  expect_failure("export run --to x --tokenizer data", 2, "there is no tokenizer.json");
  std::ofstream(temporary_.file("run/checkpoints/step-00000002/masters.safetensors")) << "x";
  const Result result = nautile("export run --to older");
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_NE(result.err.find("step-00000002 is damaged"), std::string::npos) << result.err;
  EXPECT_NE(result.out.find("step 1, "), std::string::npos) << result.out;
  expect_failure("export run --to x --step 2", 3, "masters.safetensors has 1 bytes");
  fs::remove_all(temporary_.file("run/checkpoints/step-00000001"));
  expect_failure("export run --to x", 3, "no checkpoint of run is whole");
  EXPECT_FALSE(fs::exists(temporary_.file("x")));
}

}  // namespace
}  // namespace nautile::test
