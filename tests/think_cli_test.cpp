// The small model that comes with nautile, from outside: `think`, `chat` without a network, and
// `eval tasks`.
#include <algorithm>

#include "base/file.h"
#include "tests/chat_model.h"
#include "tests/program.h"

namespace nautile::test {
namespace {

constexpr const char* kProblem =
    "'Countdown: reach 11 with 17, 15, 9, each used once, by + - * / and brackets.'";

class ThinkCli : public ProgramFolder {
 protected:
  // Tests start in the source's root.
  static std::string shipped() { return (fs::current_path() / "models/think").string(); }

  // With an empty cache, and without the Python that would fetch the default model.
  Result nautile(const std::string& arguments, const std::string& program = NAUTILE_BINARY) const {
    return run_command("env -i HOME='" + folder_.string() + "' PATH=/nonexistent '" + program +
                       "' " + arguments);
  }
};

TEST_F(ThinkCli, AnswersInItsForm) {
  const Result result = nautile("think --temperature 0 --json -p " + std::string(kProblem));
  ASSERT_EQ(result.code, 0) << result.err;
  const json report = json::parse(result.out);
  EXPECT_FALSE(report.at("reasoning").get<std::string>().empty());
  EXPECT_TRUE(report.at("answer").get<std::string>().starts_with("<answer>")) << report;
}

TEST_F(ThinkCli, ChatFallsBackToItWithoutANetwork) {
  const Result result = nautile("chat --temperature 0 -p '3 + 4 = ?'");
  EXPECT_EQ(result.code, 0);
  EXPECT_SAYS(result.err, "cannot fetch the default model");
  EXPECT_SAYS(result.err, "think instead");
  EXPECT_SAYS(result.out, "<answer>");
}

// A mirror that was named is what the user wants; other verbs do not take another model silently.
TEST_F(ThinkCli, WhoNamesAModelGetsNoOther) {
  EXPECT_EQ(nautile("chat -p hello --mirror /nonexistent.gguf").code, 1);
  EXPECT_EQ(nautile("chat -p hello -m /nonexistent").code, 1);
  EXPECT_EQ(nautile("run -p hello").code, 1);
}

TEST_F(ThinkCli, SaysWhereItLooked) {
  fs::create_directories(folder_ / "bin");
  const std::string lonely = (folder_ / "bin" / "nautile").string();
  fs::copy_file(NAUTILE_BINARY, lonely);
  const Result result = nautile("think -p hello", lonely);
  EXPECT_EQ(result.code, 1);
  EXPECT_SAYS(result.err, (folder_ / "share/nautile/models/think").string());
  EXPECT_EQ(nautile("chat -p hello", lonely).code, 1);
}

TEST_F(ThinkCli, SolvesHeldOutProblems) {
  const Result result = nautile("eval tasks arithmetic --count 40 -m '" + shipped() + "' --json");
  ASSERT_EQ(result.code, 0) << result.err;
  const json score = json::parse(result.out).at("tasks").at(0);
  EXPECT_EQ(score.at("problems"), 40);
  EXPECT_GT(score.at("well_formed"), 0.8);
  EXPECT_GT(score.at("pass_at_1").at("value"), 0.8);
}

// Which thread asks a problem has no part in the answer; nor has the number of tasks before it.
TEST_F(ThinkCli, ScoresAreTheSameForEveryNumberOfThreads) {
  const std::string model = make_chat_model(folder_ / "random");
  std::string logs[2];
  for (int threads : {1, 3}) {
    const std::string log = (folder_ / ("log" + std::to_string(threads))).string();
    const Result result =
        nautile("eval tasks word logic --count 6 --samples 2 --max-tokens 12 --seed 5 --threads " +
                std::to_string(threads) + " --log " + log + " -m " + model);
    ASSERT_EQ(result.code, 0) << result.err;
    EXPECT_SAYS(result.out, "one of 2");
    logs[threads > 1] = read_file(log);
  }
  EXPECT_EQ(logs[0], logs[1]);
  EXPECT_EQ(std::count(logs[0].begin(), logs[0].end(), '\n'), 2 * 6 * 2);
}

TEST_F(ThinkCli, WrongInputToEvalTasks) {
  const std::string model = " -m " + make_chat_model(folder_ / "random");
  const Result task = nautile("eval tasks sudoku" + model);
  EXPECT_EQ(task.code, 2);
  EXPECT_SAYS(task.err, "there is no task 'sudoku'; there are countdown3");
  EXPECT_EQ(nautile("eval tasks word --count 0" + model).code, 2);
  EXPECT_EQ(nautile("eval tasks word --split dev" + model).code, 2);
  EXPECT_EQ(nautile("eval tasks word --samples -1" + model).code, 2);
  EXPECT_EQ(nautile("eval tasks word --count 1 --log /nonexistent/x" + model).code, 1);
}

}  // namespace
}  // namespace nautile::test
