// resume_test.cpp — a run that was stopped, or killed, goes on to the bits of one that was not.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <set>
#include <thread>

#include "train/run_testing.h"

namespace nautile::test {
namespace {

using train::RunFolder;
using train::TinyRun;
using Use = RunFolder::Use;

struct Case {
  std::string name;
  train::Precision precision;
  train::OptimizerConfig::Kind optimizer;
  train::MomentFormat moments;
};

std::vector<Case> all_cases() {
  using Kind = train::OptimizerConfig::Kind;
  std::vector<Case> cases;
  for (const auto& [precision, p] :
       {std::pair(train::Precision::f32, "f32"), std::pair(train::Precision::bf16, "bf16"),
        std::pair(train::Precision::fp8, "fp8")}) {
    for (const auto& [kind, k] : {std::pair(Kind::adamw, "adamw"), std::pair(Kind::muon, "muon")}) {
      for (const auto& [moments, m] : {std::pair(train::MomentFormat::f32, "f32"),
                                       std::pair(train::MomentFormat::bf16, "bf16")}) {
        if (kind == Kind::muon && moments == train::MomentFormat::f32) continue;
        cases.push_back({fmt::format("{}_{}_{}", p, k, m), precision, kind, moments});
      }
    }
  }
  return cases;
}

train::TrainerConfig config_of(const Case& c) {
  train::TrainerConfig config = train::tiny_trainer_config();
  config.precision = c.precision;
  config.optimizer.kind = c.optimizer;
  config.optimizer.moments = c.moments;
  return config;
}

// Everything a report says, as bits.
std::string bits_of(const train::StepReport& r) {
  std::string all;
  const auto put = [&all](const auto& value) {
    all.append(reinterpret_cast<const char*>(&value), sizeof value);
  };
  put(r.step);
  for (const double value :
       {r.tokens_seen, r.loss, r.mtp_loss, r.balance_loss, r.grad_norm, r.rates.rate,
        r.rates.mtp_lambda, r.rates.bias_gamma, r.rates.balance_alpha, r.load_max_over_mean,
        r.sums.main, r.sums.mtp, r.sums.balance, r.sums.weight})
    put(value);
  for (const auto& load : r.sums.loads) {
    for (const std::int64_t count : load) put(count);
  }
  return all;
}

class Resume : public ::testing::TestWithParam<Case> {};

// One thread to the end; from each of ten splits one or two threads, in another Trainer. A run
// whose whole state is the uninterrupted one's stays so: the first split goes to the end, the
// others for two steps.
TEST_P(Resume, IsNoPause) {
  constexpr std::int64_t kSteps = 13;
  constexpr std::size_t kSplits = 10;
  const train::TemporaryFolder temporary("resume");
  const train::DataFolder data = train::make_tiny_data(temporary.file("data"));
  RunFolder folder(temporary.file("out"), Use::train, {.last = kSteps});
  const train::TrainerConfig config = config_of(GetParam());

  TinyRun whole(config, 1, data);
  std::vector<std::string> reports, states;
  std::vector<double> losses;
  for (std::int64_t i = 0; i < kSteps; ++i) {
    const train::StepReport report = whole.step();
    EXPECT_GT(report.mtp_loss, 0);
    EXPECT_GT(report.balance_loss, 0);
    losses.push_back(report.loss);
    reports.push_back(bits_of(report));
    states.push_back(whole.bits());
    folder.save(whole.trainer, whole.state());
  }
  folder.wait();
  EXPECT_LT(losses.back(), losses.front());
  for (const train::RouterBias& bias : whole.trainer.params().router_biases())
    EXPECT_NE(bias.slot->values[0], 0) << "the bias has not moved";

  std::set<std::int64_t> splits;
  for (std::uint64_t i = 0; splits.size() < kSplits; ++i) {
    const std::uint64_t seed = std::hash<std::string>()(GetParam().name);
    splits.insert(1 + philox(seed, i, 0)[0] % (kSteps - 1));
  }
  int threads = 2;
  for (const std::int64_t split : splits) {
    TinyRun rest(config, threads, data);
    rest.go_on_from(folder.at_step(split));
    const std::int64_t end = split == *splits.begin() ? kSteps : std::min(kSteps, split + 2);
    for (std::int64_t i = split; i < end; ++i) {
      const std::string report = bits_of(rest.step());
      const std::size_t at = static_cast<std::size_t>(i);
      ASSERT_TRUE(report == reports[at] && rest.bits() == states[at])
          << "step " << i + 1 << " of the run split after " << split << ", threads " << threads;
    }
    threads = 3 - threads;
  }
}

INSTANTIATE_TEST_SUITE_P(Cases, Resume, ::testing::ValuesIn(all_cases()),
                         [](const auto& info) { return info.param.name; });

// --- kill -9 ---

constexpr const char* kFolderName = "NAUTILE_KILL_FOLDER";
constexpr const char* kCaseName = "NAUTILE_KILL_CASE";
constexpr std::int64_t kLastStep = 25;

// The case of a number, so that parent and child agree.
Case kill_case(int number) {
  const std::vector<Case> cases = all_cases();
  return cases[static_cast<std::size_t>(number) * 5 % cases.size()];
}

// The child: goes on from the newest checkpoint, makes one after each step, and tells on stdout the
// step of each that is in place.
TEST(KillChild, DISABLED_TrainsUntilKilled) {
  const char* folder_path = std::getenv(kFolderName);
  if (!folder_path) GTEST_SKIP() << "run by Kill.NothingIsLost";
  const std::string path = folder_path;
  const Case c = kill_case(std::atoi(std::getenv(kCaseName)));
  const train::DataFolder data = train::make_tiny_data(path + "/data");
  RunFolder folder(path + "/out", Use::train, {.last = 2, .milestone_every = 50});
  TinyRun run(config_of(c), 2, data);
  if (const auto saved = folder.newest_valid()) run.go_on_from(*saved);
  while (run.trainer.step_count() < kLastStep) {
    const std::int64_t before = run.trainer.step_count();
    run.step();
    folder.save(run.trainer, run.state());  // waits for the checkpoint of the step before
    const std::string line = fmt::format("saved {}\n", before);
    ASSERT_EQ(::write(STDOUT_FILENO, line.data(), line.size()), static_cast<ssize_t>(line.size()));
  }
  folder.wait();
}

// A child that trains into `folder`; what it says comes through `output`.
struct Child {
  Child(const std::string& folder, int number) {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) std::abort();
    const std::string filter = "--gtest_filter=KillChild.DISABLED_TrainsUntilKilled";
    const std::string case_text = std::to_string(number);
    pid = ::fork();
    if (pid == 0) {
      ::dup2(ends[1], STDOUT_FILENO);
      ::setenv(kFolderName, folder.c_str(), 1);
      ::setenv(kCaseName, case_text.c_str(), 1);
      ::execl("/proc/self/exe", "test", filter.c_str(), "--gtest_also_run_disabled_tests", nullptr);
      ::_exit(127);
    }
    ::close(ends[1]);
    output = ends[0];
  }
  // Until it has said so much.
  void wait_for(const std::string& text) {
    std::string said;
    char piece[256];
    for (ssize_t got;
         said.find(text) == said.npos && (got = ::read(output, piece, sizeof piece)) > 0;)
      said.append(piece, static_cast<std::size_t>(got));
  }
  // All it said since, after its end.
  std::string end() {
    int status = 0;
    ::waitpid(pid, &status, 0);
    std::string said;
    char piece[4096];
    for (ssize_t got; (got = ::read(output, piece, sizeof piece)) > 0;)
      said.append(piece, static_cast<std::size_t>(got));
    ::close(output);
    return said;
  }
  pid_t pid = -1;
  int output = -1;
};

// The last step that the child told of; 0: none.
std::int64_t last_told(const std::string& said) {
  const std::size_t at = said.rfind("saved ");
  // The last line may be cut.
  return at == said.npos || said.find('\n', at) == said.npos ? 0 : std::stoll(said.substr(at + 6));
}

// How long a child takes to make its third checkpoint, on this machine as busy as it is.
std::chrono::microseconds time_of_three() {
  const train::TemporaryFolder temporary("kill_time");
  const auto begin = std::chrono::steady_clock::now();
  Child child(temporary.path(), 0);
  child.wait_for("saved 3");
  const auto end = std::chrono::steady_clock::now();
  ::kill(child.pid, SIGKILL);
  child.end();
  return std::chrono::duration_cast<std::chrono::microseconds>(end - begin);
}

// NAUTILE_KILLS says how often (20).
TEST(Kill, NothingIsLost) {
  const char* wanted = std::getenv("NAUTILE_KILLS");
  const int kills = wanted ? std::atoi(wanted) : 20;
  std::optional<train::TemporaryFolder> temporary;
  std::unique_ptr<train::DataFolder> data;
  std::unique_ptr<TinyRun> whole;  // the run that nobody kills
  int runs = 0, with_checkpoint = 0, going_on = 0;
  std::int64_t last = kLastStep;
  const std::chrono::microseconds most = 2 * time_of_three();
  for (int i = 0; i < kills; ++i) {
    if (last == kLastStep) {
      temporary.reset();
      temporary.emplace("kill");
      data = std::make_unique<train::DataFolder>(train::make_tiny_data(temporary->file("whole")));
      whole = std::make_unique<TinyRun>(config_of(kill_case(runs++)), 1, *data);
      last = 0;
    }
    Child child(temporary->path(), runs - 1);
    const auto random =
        philox(static_cast<std::uint64_t>(::getpid()), static_cast<std::uint64_t>(i), 9);
    std::this_thread::sleep_for(most * (random[0] % 1000) / 1000);
    ::kill(child.pid, SIGKILL);
    const std::int64_t told = last_told(child.end());
    if (!std::filesystem::exists(temporary->file("out"))) continue;
    const RunFolder folder(temporary->file("out"), Use::read);
    const auto newest = folder.newest_valid([](const std::string& n) { ADD_FAILURE() << n; });
    const std::int64_t step = newest ? newest->state().step : 0;
    ASSERT_GE(step, std::max(last, told)) << "kill " << i;
    going_on += last > 0;
    last = step;
    if (!newest) continue;
    ++with_checkpoint;
    while (whole->trainer.step_count() < step) whole->step();
    TinyRun saved(whole->trainer.config(), 1, *data);
    saved.go_on_from(*newest);
    ASSERT_TRUE(saved.bits() == whole->bits()) << "kill " << i << ", step " << step;
  }
  fmt::print("{} kills, {} runs, {} left a checkpoint, {} of a run killed before\n", kills, runs,
             with_checkpoint, going_on);
  EXPECT_GT(2 * with_checkpoint, kills);
}

}  // namespace
}  // namespace nautile::test
