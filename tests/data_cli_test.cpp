// data_cli_test.cpp — from outside: tokenizer train, data generate, build, check and show.
#include <zstd.h>

#include <algorithm>
#include <set>
#include <sstream>

#include "tests/program.h"

namespace nautile::test {
namespace {

class DataCli : public ProgramFolder {
 protected:
  // A tokenizer in tok/ and problems to build from.
  void make_tokenizer() const {
    ASSERT_EQ(run("data generate all --count 300 --out p.jsonl").code, 0);
    const Result trained = run("tokenizer train p.jsonl --vocab 400 --out tok");
    ASSERT_EQ(trained.code, 0) << trained.err;
    EXPECT_NE(trained.out.find("400 tokens: 256 bytes, 135 learnt, 9 added"), std::string::npos)
        << trained.out;
  }
};

TEST_F(DataCli, GeneratesAlikeForOneSeed) {
  const Result first = run("data generate countdown3 logic --count 40 --seed 5 --out a.jsonl");
  ASSERT_EQ(first.code, 0) << first.err;
  run("data generate countdown3 logic --count 40 --seed 5 --out b.jsonl");
  run("data generate countdown3 logic --count 40 --seed 5 --split test --out c.jsonl");
  EXPECT_EQ(read_whole(folder_ / "a.jsonl"), read_whole(folder_ / "b.jsonl"));
  const auto numbers_of = [&](const char* name) {
    std::set<std::multiset<int>> all;
    std::istringstream lines(read_whole(folder_ / name));
    for (std::string line; std::getline(lines, line);) {
      const json record = json::parse(line);
      EXPECT_EQ(record["messages"].size(), 2u);
      EXPECT_EQ(record["messages"][1]["role"], "assistant");
      EXPECT_TRUE(record["answer"].is_string() && record["task"].is_string());
      all.insert(record["numbers"].get<std::multiset<int>>());
    }
    return all;
  };
  const auto train = numbers_of("a.jsonl");
  EXPECT_GT(train.size(), 30u);
  for (const auto& numbers : numbers_of("c.jsonl")) EXPECT_FALSE(train.contains(numbers));
  EXPECT_EQ(run("data generate word --count 3 --format text --out t.txt").code, 0);
  EXPECT_NE(read_whole(folder_ / "t.txt").find("<think>"), std::string::npos);
  EXPECT_NE(run("data generate --list").out.find("countdown4"), std::string::npos);
  expect_failure("data generate chess --count 1 --out x", 2, "there is no task 'chess'");
  expect_failure("data generate word --out x", 2, "--count");
  expect_failure("data generate word --count 1 --out none/x", 1, "none/x");
}

TEST_F(DataCli, TrainsATokenizer) {
  make_tokenizer();
  const Result ids = run("tokenize --ids '<think>12+5=17</think>' -m tok");
  EXPECT_EQ(ids.code, 0) << ids.err;
  EXPECT_EQ(std::count(ids.out.begin(), ids.out.end(), ' '), 8);  // two tags, a token per character
  EXPECT_EQ(
      run("tokenizer train p.jsonl --vocab 300 --special '<|x|>' --tag '<y>' --fim --out own.json")
          .code,
      0);
  const json own = json::parse(read_whole(folder_ / "own.json"));
  EXPECT_EQ(own["added_tokens"].size(), 14u);
  expect_failure("tokenizer train p.jsonl --vocab 260 --out t", 2, "expected at least 265");
  expect_failure("tokenizer train none.txt --vocab 400 --out t", 1, "no file matches none.txt");
  expect_failure("tokenizer train p.jsonl --vocab 400 --special '<think>' --out t", 2,
                 "added twice");
  write("bad.txt", "ab\xFF");
  expect_failure("tokenizer train bad.txt --vocab 400 --out t", 3, "not UTF-8");
}

TEST_F(DataCli, BuildsChecksAndShows) {
  make_tokenizer();
  write("spec.toml",
        "tokenizer = \"tok\"\nheld_out = 0.1\n[[source]]\nname = \"tasks\"\nkind = \"chat\"\n"
        "files = [\"p.jsonl\"]\nnear_duplicates = false\n");
  const Result built = run("data build spec.toml --out data --json");
  ASSERT_EQ(built.code, 0) << built.err;
  const json index = json::parse(built.out);
  const json& report = index["sources"][0]["report"];
  EXPECT_EQ(report["documents_read"], 300);
  EXPECT_EQ(report["train"]["documents"].get<int>() + report["held_out"]["documents"].get<int>() +
                report["removed"]["exact_duplicates"].get<int>(),
            300);
  EXPECT_EQ(run("data check data").code, 0);
  const Result shown = run("data show data -n 1");
  EXPECT_NE(shown.out.find("<｜Assistant｜>]<think>"), std::string::npos) << shown.out;
  expect_failure("data build spec.toml --out data", 2, "holds data already");
  EXPECT_EQ(run("data build spec.toml --out data --overwrite").code, 0);
  // One flipped byte of a shard.
  std::string shard = read_whole(folder_ / "data/tasks-train-00000.shard");
  shard[1000] = static_cast<char>(shard[1000] ^ 1);
  write("data/tasks-train-00000.shard", shard);
  expect_failure("data check data", 3, "the checksum of block 0");
  write("data/tasks-train-00000.shard", shard.substr(0, shard.size() / 2));
  expect_failure("data check data", 3, "was it cut?");
  expect_failure("data check tok", 1, "no data folder");
}

TEST_F(DataCli, BadInputIsNamed) {
  make_tokenizer();
  const std::string head = "tokenizer = \"tok\"\n[[source]]\nname = \"a\"\n";
  write("a.jsonl", "{\"text\": \"one\"}\n{\"txt\": \"two\"}\n");
  write("spec.toml", head + "kind = \"jsonl\"\nfiles = [\"a.jsonl\"]\n");
  expect_failure("data build spec.toml --out d", 3, "a.jsonl, line 2: there is no field \"text\"");
  EXPECT_FALSE(fs::exists(folder_ / "d/index.json"));
  write("a.txt", "good\n\xC3\x28");
  write("spec.toml", head + "files = [\"a.txt\"]\n");
  expect_failure("data build spec.toml --out d", 3, "not UTF-8: at byte 5");
  std::string packed(1000, '\0');
  const std::string text = "a text that zstd packs, and that is then cut before its end";
  packed.resize(ZSTD_compress(packed.data(), packed.size(), text.data(), text.size(), 1) - 5);
  write("a.txt.zst", packed);
  write("spec.toml", head + "files = [\"a.txt.zst\"]\n");
  expect_failure("data build spec.toml --out d", 3, "was it cut?");
  write("spec.toml", head + "files = [\"a.txt\"]\nwieght = 2\n");
  expect_failure("data build spec.toml --out d", 3, "line 5: 'wieght' is not known here");
  write("spec.toml", "tokenizer = \"none\"\n[[source]]\nname = \"a\"\nfiles = [\"a.txt\"]\n");
  expect_failure("data build spec.toml --out d", 1, "none/tokenizer.json");
}

}  // namespace
}  // namespace nautile::test
