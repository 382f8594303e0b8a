#include "train/run_log.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "base/error.h"
#include "train/run_testing.h"

namespace nautile::train {
namespace {

std::string line(int step, const std::string& more = "") {
  return fmt::format(
      "{{\"step\":{},\"tokens\":{},\"loss\":{},\"first_slot\":{},\"slots\":2,\"seconds\":0.5,"
      "\"flops_per_second\":4e9{}}}\n",
      step, 100 * step, 6.0 / step, 2 * (step - 1), more);
}

TEST(RunLog, ReadsWhatTrainingWrote) {
  RunTexts texts;
  const std::string metrics = line(1) +
                              line(2, R"(,"held_out":{"prose":{"bits_per_byte":2.5,"tokens":9}})") +
                              line(3, R"(,"expert_loads":[[],[1,3]],"grad_norm":null)");
  texts.metrics = metrics;
  texts.samples = "{\"step\":3,\"prompt\":\"1+1=\",\"text\":\"2\"}\n";
  texts.events =
      "{\"step\":2,\"event\":\"resumed\",\"text\":\"going on after step 2\",\"time\":1e9}\n";
  texts.recipe =
      "[train]\ntokens = 300.0                           # recipe\n\n[data]\n"
      "folder = \"a  # b\"                         # --set\n";
  const RunLog log = parse_run_log(texts);
  EXPECT_TRUE(log.problems.empty()) << log.problems.front();
  EXPECT_EQ(log.steps, 3);
  EXPECT_EQ(log.tokens, 300);
  EXPECT_EQ(log.seconds, 1.5);
  EXPECT_EQ(log.flops, 6e9);
  ASSERT_TRUE(log.find("loss"));
  EXPECT_EQ(log.find("loss")->size(), 3u);
  EXPECT_EQ(log.find("loss")->back().value, 2);
  EXPECT_EQ(log.find("loss")->back().tokens, 300);
  EXPECT_FALSE(log.find("grad_norm"));
  EXPECT_EQ(log.held_out.at("prose").front().value, 2.5);
  ASSERT_EQ(log.loads.size(), 1u);
  EXPECT_EQ(log.loads[0].experts, (std::vector<std::vector<double>>{{}, {1, 3}}));
  ASSERT_EQ(log.samples.size(), 1u);
  EXPECT_EQ(log.samples[0].text, "2");
  ASSERT_EQ(log.events.size(), 1u);
  EXPECT_EQ(log.events[0].time, 1e9);
  ASSERT_EQ(log.values.size(), 2u);
  EXPECT_EQ(log.value("train.tokens")->value, "300.0");
  EXPECT_EQ(log.value("data.folder")->value, "\"a  # b\"");
  EXPECT_EQ(log.value("data.folder")->origin, "--set");
}

TEST(RunLog, BrokenLinesAreSaidAndLeftOut) {
  RunTexts texts;
  const std::string metrics = line(1) + "{\"step\":oops}\n[1]\n{\"loss\":1}\n\n" +
                              line(2, R"(,"expert_loads":[[1,"x"]])") + line(3) +
                              "{\"step\":4,\"lo";
  texts.metrics = metrics;
  texts.samples = "\xFF\n";
  texts.recipe = "what is this\n";
  const RunLog log = parse_run_log(texts);
  EXPECT_EQ(log.steps, 3);
  EXPECT_EQ(log.find("loss")->size(), 3u);  // a bad list takes only itself away
  ASSERT_EQ(log.problems.size(), 4u);
  EXPECT_NE(log.problems[0].find("the last line is not whole"), std::string::npos);
  EXPECT_NE(log.problems[1].find("4 of 8 lines"), std::string::npos) << log.problems[1];
  EXPECT_NE(log.problems[1].find("line 2: "), std::string::npos) << log.problems[1];
  EXPECT_NE(log.problems[2].find("samples.jsonl: 1 of 1"), std::string::npos);
  EXPECT_NE(log.problems[3].find("recipe.toml: 1"), std::string::npos);
}

TEST(RunLog, LaterLinesReplaceEarlierOnesOfTheSameStep) {
  RunTexts texts;
  const std::string metrics = line(1) + line(2) + line(3) + line(2) + line(5);
  texts.metrics = metrics;
  const RunLog log = parse_run_log(texts);
  ASSERT_EQ(log.find("loss")->size(), 3u);
  EXPECT_EQ((*log.find("loss"))[1].step, 2);
  EXPECT_EQ(log.seconds, 1.5);
  ASSERT_EQ(log.problems.size(), 1u);
  EXPECT_NE(log.problems[0].find("1 lines go back"), std::string::npos);
  // No events were written; the slots of steps 3 and 4 are missing.
  ASSERT_EQ(log.events.size(), 1u);
  EXPECT_EQ(log.events[0].text, "slots 4 to 7 are left out");
}

TEST(RunLog, LongRunsStayBounded) {
  std::string metrics;
  for (int step = 1; step <= 1001; ++step) metrics += line(step, R"(,"expert_loads":[[1,3]])");
  for (int name = 0; name < 100; ++name)
    metrics += line(1002 + name, fmt::format(",\"n{}\":1", name));
  RunTexts texts;
  texts.metrics = metrics;
  const RunLog log = parse_run_log(texts);
  EXPECT_LE(log.loads.size(), RunLog::kMostLoads);
  double sum = 0, last = 0;
  for (const RunLog::Loads& loads : log.loads) {
    EXPECT_GT(loads.step, last);
    last = loads.step;
    sum += loads.experts[0][1];
    EXPECT_EQ(loads.experts[0][1], 3 * loads.experts[0][0]);
  }
  EXPECT_EQ(last, 1001);
  EXPECT_EQ(sum, 3003);
  EXPECT_EQ(log.series.size(), RunLog::kMostSeries);
  ASSERT_EQ(log.problems.size(), 1u);
  EXPECT_NE(log.problems[0].find("are left out, the first is 'n"), std::string::npos);
}

TEST(RunLog, AFolderWithoutMetricsIsNamed) {
  const TemporaryFolder folder("run_log");
  try {
    read_run_log(folder.path());
    FAIL() << "read";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::failure);
    EXPECT_NE(std::string(error.what()).find(folder.path()), std::string::npos);
    EXPECT_NE(std::string(error.what()).find("nautile train --out"), std::string::npos);
  }
  std::ofstream(folder.file("metrics.jsonl"));
  const RunLog log = read_run_log(folder.path());  // a run that has just begun
  EXPECT_EQ(log.steps, 0);
  ASSERT_EQ(log.problems.size(), 1u);
  EXPECT_EQ(log.problems[0], "there is no recipe.toml");
}

}  // namespace
}  // namespace nautile::train
