#include "align/tuning_data.h"

#include <gtest/gtest.h>

#include <fstream>

#include "align/align_testing.h"
#include "train/data_folder.h"
#include "train/run_testing.h"

namespace nautile::align {
namespace {

using Json = nlohmann::ordered_json;

class TuningData : public ::testing::Test {
 protected:
  std::string write(const std::string& name, const std::string& text) const {
    std::ofstream(folder_.file(name)) << text;
    return folder_.file(name);
  }
  static std::string chat(const std::string& question, const std::string& answer) {
    const Json line = {{"messages", Json::array({{{"role", "user"}, {"content", question}},
                                                 {{"role", "assistant"}, {"content", answer}}})}};
    return line.dump() + "\n";
  }
  TuningDataReport build(const TuningDataOptions& options, const std::string& out) {
    return build_tuning_data(options,
                             [&](const Json& line) { return encode_conversation(encoder_, line); },
                             tokenizer_, folder_.file(out), pool_, {});
  }
  std::string message_of(const TuningDataOptions& options) {
    try {
      build(options, "bad");
    } catch (const Error& error) {
      return error.what();
    }
    return "";
  }

  train::TemporaryFolder folder_{"tuning_data"};
  Tokenizer tokenizer_ = testing::byte_tokenizer();
  std::unique_ptr<ChatFormat> format_ = testing::line_format();
  ChatEncoder encoder_{tokenizer_, *format_, tool_format_named("generic"), tool_words(*format_)};
  ThreadPool pool_{2};
};

TEST_F(TuningData, HoldsOutByContentWhateverTheOrder) {
  std::string forward, backward;
  for (int i = 0; i < 200; ++i) {
    const std::string line = chat("q" + std::to_string(i), "a");
    forward += line;
    backward = line + backward;
  }
  TuningDataOptions options;
  options.held_out = 0.25;
  options.most_tokens = 100;
  options.files = {write("f.jsonl", forward)};
  const TuningDataReport report = build(options, "f");
  EXPECT_EQ(report.lines, 200u);
  EXPECT_EQ(report.train + report.held_out, 200u);
  EXPECT_NEAR(static_cast<double>(report.held_out), 50, 25);  // four deviations of a binomial
  options.files = {write("b.jsonl", backward)};
  EXPECT_EQ(build(options, "b").held_out, report.held_out);
  const train::DataFolder data = train::DataFolder::open(folder_.file("f"));
  EXPECT_EQ(data.sources[0].documents(train::DataSplit::train), report.train);
  EXPECT_EQ(TuningDataReport::of_index(data.index).json(), report.json());
  // The answer and its end.
  EXPECT_EQ(report.learnt_tokens, 2 * report.train);
}

TEST_F(TuningData, CountsWhatIsTooLong) {
  TuningDataOptions options;
  options.files = {write("l.jsonl", chat("short", "yes") + chat("long", std::string(50, 'x')) +
                                        chat(std::string(60, 'y'), "never seen"))};
  options.most_tokens = 40;
  const TuningDataReport skipped = build(options, "skip");
  EXPECT_EQ(skipped.train, 1u);
  EXPECT_EQ(skipped.too_long, 2u);
  options.too_long = TooLong::cut;
  const TuningDataReport cut = build(options, "cut");
  EXPECT_EQ(cut.train, 2u);
  EXPECT_EQ(cut.cut, 1u);
  EXPECT_EQ(cut.too_long, 1u);  // nothing of the assistant was left of it
  EXPECT_EQ(cut.longest, 40);
}

TEST_F(TuningData, NamesEveryBadLine) {
  TuningDataOptions options;
  options.most_tokens = 100;
  options.files = {
      write("b.jsonl", chat("q", "a") + "{\"messages\": [}\n[1]\n" +
                           "{\"messages\": [{\"role\": \"bot\", \"content\": \"x\"}]}\n")};
  const std::string message = message_of(options);
  for (const char* part : {"3 of the data's lines", "line 2", "line 3", "line 4", "'bot'"})
    EXPECT_NE(message.find(part), std::string::npos) << message;
  options.bad = BadLine::skip;
  const TuningDataReport report = build(options, "good");
  EXPECT_EQ(report.malformed, 3u);
  EXPECT_EQ(report.train, 1u);
}

TEST_F(TuningData, RefusesWhatTeachesNothing) {
  TuningDataOptions options;
  options.most_tokens = 100;
  options.files = {write("e.jsonl", "")};
  EXPECT_NE(message_of(options).find("nothing is left to learn from"), std::string::npos);
  options.files = {write("l.jsonl", chat("q", std::string(200, 'x')))};
  EXPECT_NE(message_of(options).find("1 of more than 100 tokens"), std::string::npos);
}

TEST_F(TuningData, EvaluatesOnAnotherFile) {
  TuningDataOptions options;
  options.most_tokens = 100;
  options.held_out = 0.9;
  options.files = {write("t.jsonl", chat("q", "a") + chat("p", "b"))};
  options.eval = {write("v.jsonl", chat("r", "c"))};
  const TuningDataReport report = build(options, "eval");
  EXPECT_EQ(report.train, 2u);
  EXPECT_EQ(report.held_out, 1u);
}

}  // namespace
}  // namespace nautile::align
