// build_data_test.cpp — specifications, and folders built from them.
#include "train/build_data.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "base/error.h"
#include "base/file.h"
#include "base/rng.h"
#include "text/bpe_trainer.h"
#include "text/tokenizer_writer.h"
#include "train/data_folder.h"
#include "train/dataset.h"

namespace nautile::train {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

std::string fault_of(const std::string& toml) {
  try {
    parse_data_spec(toml, "x/spec.toml");
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

constexpr const char* kHead = "tokenizer = \"tok\"\n";

TEST(DataSpec, ReadsAll) {
  const DataSpec spec = parse_data_spec(
      "tokenizer = \"tok\"\nheld_out = 0.25\nngram = 8\ndecontaminate = [\"/e.jsonl\"]\n"
      "[[source]]\nname = \"a\"\nfiles = [\"*.txt\"]\nweight = 2\nchunk_bytes = 100\n"
      "[[source]]\nname = \"b\"\nkind = \"chat\"\nfiles = [\"/b.jsonl\"]\nloss = \"all\"\n"
      "[[source]]\nname = \"c\"\nkind = \"tasks\"\ntasks = [\"word\"]\ncount = 5\nform = "
      "\"text\"\n",
      "x/spec.toml");
  EXPECT_EQ(spec.tokenizer, "x/tok");
  EXPECT_EQ(spec.held_out, 0.25);
  ASSERT_EQ(spec.sources.size(), 3u);
  EXPECT_EQ(spec.sources[0].files, std::vector<std::string>{"x/*.txt"});
  EXPECT_EQ(spec.sources[0].weight, 2);
  EXPECT_EQ(spec.sources[1].field, "messages");
  EXPECT_EQ(spec.sources[1].loss, LossOn::all);
  EXPECT_EQ(spec.sources[2].form, TaskForm::text);
  EXPECT_TRUE(spec.sources[2].tags && !spec.sources[2].near_duplicates);
}

TEST(DataSpec, FaultsNameTheLine) {
  const std::string head = kHead;
  const auto says = [&](const std::string& toml, const char* part) {
    EXPECT_NE(fault_of(toml).find(part), std::string::npos) << toml << "\n" << fault_of(toml);
  };
  says("", "there is no 'tokenizer'");
  says(head, "there is no [[source]]");
  says(head + "x = 1\n[[source]]\nname=\"a\"\nfiles=[]\n", "line 2: 'x' is not known here");
  says(head + "[[source]]\nfiles=[]\n", "there is no 'name'");
  says(head + "[[source]]\nname=\"a/b\"\nfiles=[]\n", "letters, digits");
  says(head + "[[source]]\nname=\"a\"\n", "there is no 'files'");
  says(head + "[[source]]\nname=\"a\"\nfiles=[3]\n", "not text");
  says(head + "[[source]]\nname=\"a\"\nfiles=[]\nweight=-1\n", "line 5: 'weight' is -1");
  says(head + "[[source]]\nname=\"a\"\nfiles=[]\nweight=\"x\"\n", "not a number");
  says(head + "[[source]]\nname=\"a\"\nkind=\"tasks\"\n", "there is no 'tasks'");
  says(head + "[[source]]\nname=\"a\"\nkind=\"poems\"\n", "expected one of text");
  says(head + "[[source]]\nname=\"a\"\nfiles=[]\n[[source]]\nname=\"a\"\nfiles=[]\n",
       "two sources");
  says("tokenizer = \n", "line 1");
  says("source = 3\n" + head, "[[source]]");
}

class BuildTest : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::temp_directory_path() / ("nautile_build_" + std::to_string(getpid()));
    fs::create_directories(folder_);
    const BpeTrainer trainer({.vocab_size = 256, .reserved = {}});
    json_ = tokenizer_json_text(trainer.train(), spec_);
    config_ = tokenizer_config_text(spec_);
    tokenizer_ = std::make_unique<Tokenizer>(Tokenizer::from_json(json_, config_));
    format_ = make_template_format(spec_.chat_template,
                                   {{"bos_token", spec_.bos}, {"eos_token", spec_.eos}});
  }
  void TearDown() override { fs::remove_all(folder_); }

  std::string write(const std::string& name, const std::string& content) const {
    std::string path = (folder_ / name).string();
    std::ofstream(path, std::ios::binary) << content;
    return path;
  }
  Json build(const DataSpec& spec, const std::string& out, int threads = 1,
             Overwrite overwrite = Overwrite::no) const {
    ThreadPool pool(threads);
    return build_data(spec,
                      {*tokenizer_,
                       format_.get(),
                       {{"tokenizer.json", json_}, {"tokenizer_config.json", config_}}},
                      (folder_ / out).string(), overwrite, pool, {});
  }

  fs::path folder_;
  TokenizerSpec spec_ = default_tokenizer_spec();
  std::string json_, config_;
  std::unique_ptr<Tokenizer> tokenizer_;
  std::unique_ptr<ChatFormat> format_;
};

std::string line_of(std::uint64_t i) {
  std::string text;
  for (std::uint64_t k = 0; k < 30; ++k)
    text += "w" + std::to_string(philox(9, i, k)[0] % 900) + " ";
  return Json({{"text", text}}).dump() + "\n";
}

DataSpec spec_for(const std::string& file) {
  DataSpec spec;
  spec.held_out = 0.1;
  SourceSpec source;
  source.name = "lines";
  source.kind = SourceKind::jsonl;
  source.field = "text";
  source.files = {file};
  spec.sources = {source};
  return spec;
}

TEST_F(BuildTest, ReportsWhatItRemoves) {
  std::string lines;
  for (std::uint64_t i = 0; i < 500; ++i) lines += line_of(i);
  for (std::uint64_t i = 0; i < 20; ++i) lines += line_of(i);  // exact
  std::string near = line_of(30);
  near.insert(near.find("\":\"") + 3, "new ");
  lines += near + "{\"text\": \"  \"}\n" + "{\"nothing\": 1}\n";
  DataSpec spec = spec_for(write("lines.jsonl", lines));
  const Json eval = Json::parse(line_of(77));
  spec.decontaminate = {write("eval.txt", "so " + eval["text"].get<std::string>())};
  EXPECT_THROW(build(spec, "out"), Error);  // the malformed line
  spec.skip_bad = true;
  const Json index = build(spec, "out");
  const Json& report = index["sources"][0]["report"];
  EXPECT_EQ(report["removed"]["malformed"], 1);
  EXPECT_EQ(report["removed"]["empty"], 1);
  EXPECT_EQ(report["removed"]["exact_duplicates"], 20);
  EXPECT_EQ(report["removed"]["near_duplicates"], 1);
  EXPECT_EQ(report["removed"]["contaminated"], 1);
  const auto train = report["train"]["documents"].get<int>(),
             held = report["held_out"]["documents"].get<int>();
  EXPECT_EQ(train + held, 499);
  EXPECT_NEAR(held, 50, 25);
  EXPECT_THROW(build(spec, "out"), Error);  // there is data
  EXPECT_EQ(build(spec, "out", 2, Overwrite::yes), index);
}

TEST_F(BuildTest, ThreadsDoNotMatterAndShardsAreCut) {
  std::string lines;
  for (std::uint64_t i = 0; i < 900; ++i) lines += line_of(i);
  DataSpec spec = spec_for(write("lines.jsonl", lines));
  spec.shard_tokens = 20'000;
  build(spec, "one", 1);
  build(spec, "three", 3);
  std::size_t files = 0;
  for (const auto& entry : fs::directory_iterator(folder_ / "one")) {
    ++files;
    EXPECT_EQ(read_file(entry.path().string()),
              read_file((folder_ / "three" / entry.path().filename()).string()));
  }
  EXPECT_GT(files, 6u);
  const DataFolder data = DataFolder::open((folder_ / "one").string());
  std::uint64_t documents =
      data.sources[0].documents(DataSplit::train) + data.sources[0].documents(DataSplit::held_out);
  EXPECT_EQ(documents, 900u);
  // The text comes back.
  const Shard& shard = data.sources[0].train[0];
  std::vector<std::int32_t> tokens(shard.length(0));
  shard.read(0, 0, tokens);
  EXPECT_NE(lines.find(tokenizer_->decode(tokens, SkipSpecial::no)), std::string::npos);
}

TEST_F(BuildTest, TasksAndChats) {
  DataSpec spec;
  spec.held_out = 0;
  SourceSpec tasks;
  tasks.name = "tasks";
  tasks.kind = SourceKind::tasks;
  tasks.tasks = {"countdown3", "word"};
  tasks.count = 200;
  tasks.near_duplicates = false;
  tasks.tags = true;
  SourceSpec text = tasks;
  text.name = "text";
  text.form = TaskForm::text;
  text.seed = 1;
  spec.sources = {tasks, text};
  build(spec, "out");
  const DataFolder data = DataFolder::open((folder_ / "out").string());
  const Shard& chat = data.sources[0].train.at(0);
  EXPECT_EQ(chat.kind(0), DocumentKind::chat);
  EXPECT_EQ(chat.runs(0).size(), 1u);
  EXPECT_EQ(data.sources[1].train.at(0).kind(0), DocumentKind::text);
  DatasetOptions options;
  options.seq_len = 600;
  options.bos = tokenizer_->bos();
  options.eos = tokenizer_->eos();
  const TokenBatch batch = Dataset(data, options).slot(0);
  const auto count = [&](const char* token) {
    return std::count(batch.tokens.begin(), batch.tokens.end(), *tokenizer_->id_of(token));
  };
  EXPECT_GT(count("<think>"), 0);
  EXPECT_EQ(count("<think>"), count("</answer>"));
}

TEST_F(BuildTest, DamagedFoldersAreRefused) {
  std::string lines;
  for (std::uint64_t i = 0; i < 50; ++i) lines += line_of(i);
  const Json index = build(spec_for(write("lines.jsonl", lines)), "out");
  const std::string out = (folder_ / "out").string();
  const auto fault = [&](const Json& changed) {
    std::ofstream(out + "/index.json") << changed.dump();
    try {
      DataFolder::open(out);
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  EXPECT_EQ(fault(index), "");
  Json other = index;
  other["vocabulary"]["size"] = 300;
  EXPECT_NE(fault(other).find("another tokenizer"), std::string::npos);
  other = index;
  other["sources"][0]["train"][0] = "../x.shard";
  EXPECT_NE(fault(other).find("no name of a file"), std::string::npos);
  other = index;
  other["version"] = 9;
  EXPECT_NE(fault(other).find("version 9"), std::string::npos);
  for (const char* key : {"vocabulary", "sources", "version"}) {
    other = index;
    other.erase(key);
    EXPECT_NE(fault(other).find(key), std::string::npos);
  }
  EXPECT_THROW(DataFolder::open(folder_.string()), Error);
}

}  // namespace
}  // namespace nautile::train
