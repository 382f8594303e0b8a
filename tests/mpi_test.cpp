// mpi_test.cpp — nautile train in several processes, started by mpirun: the same bits as in one,
// and how all of them end when one does.
#include <signal.h>
#include <sys/wait.h>

#include <chrono>
#include <thread>

#include "tests/train_cli.h"

namespace nautile::test {
namespace {

using Clock = std::chrono::steady_clock;

// So many ranks on however few cores, as whatever user tests run as.
std::string mpirun(int ranks) {
  return fmt::format(
      "OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 exec mpirun --oversubscribe -n "
      "{} ",
      ranks);
}

std::size_t count_of(const std::string& text, const std::string& part) {
  std::size_t count = 0;
  for (std::size_t at = text.find(part); at != text.npos; at = text.find(part, at + 1)) ++count;
  return count;
}

class Mpi : public TrainFolder {
 protected:
  void SetUp() override {
    TrainFolder::SetUp();
    if (std::system("mpirun --version >/dev/null 2>&1") != 0)
      GTEST_SKIP() << "there is no mpirun (apt-get install openmpi-bin libopenmpi-dev)";
    static const bool built_without =
        ranks(2, "check").err.find("built without MPI") != std::string::npos;
    if (built_without) GTEST_SKIP() << "built without MPI: configure again";
  }
  Result train(int ranks, const std::string& arguments) const {
    return run("train " + arguments, mpirun(ranks));
  }
  Result ranks(int ranks, const std::string& arguments) const {
    return run_command(mpirun(ranks) + NAUTILE_RANKS " " + arguments);
  }
  void expect_same_run(const std::string& a, const std::string& b, const char* step) const {
    EXPECT_EQ(metrics(a), metrics(b)) << b;
    for (const char* file : {"masters.safetensors", "optimizer.safetensors"}) {
      const std::string bytes = checkpoint(a, step, file);
      EXPECT_FALSE(bytes.empty()) << a;
      EXPECT_TRUE(bytes == checkpoint(b, step, file)) << b << " " << file;
    }
  }

  // mpirun in the background, in the test's folder.
  pid_t start(int ranks, const std::string& arguments) const {
    const std::string command = "cd '" + folder_.string() + "' && " + mpirun(ranks) +
                                NAUTILE_BINARY + " train " + arguments + " </dev/null >out 2>err";
    const pid_t pid = ::fork();
    if (pid == 0) {
      ::execl("/bin/sh", "sh", "-c", command.c_str(), nullptr);
      ::_exit(127);
    }
    return pid;
  }
  // Until the run has so many steps behind it.
  void wait_for_steps(const std::string& out, std::size_t steps) const {
    const auto begin = Clock::now();
    while (metrics(out).size() < steps) {
      ASSERT_LT(Clock::now() - begin, std::chrono::seconds(60)) << read_whole(folder_ / "err");
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
    }
  }
  Result end_of(pid_t pid) const {
    int status = 0;
    ::waitpid(pid, &status, 0);
    return {exit_code(status), read_whole(folder_ / "out"), read_whole(folder_ / "err")};
  }
  // The process of a rank, by what mpirun put into its environment.
  static pid_t process_of(pid_t mpirun, int rank) {
    std::ifstream children(fmt::format("/proc/{0}/task/{0}/children", mpirun));
    for (pid_t child; children >> child;) {
      const std::string environment = read_whole(fmt::format("/proc/{}/environ", child));
      if (environment.find(fmt::format("OMPI_COMM_WORLD_RANK={}", rank) + '\0') != environment.npos)
        return child;
    }
    return -1;
  }
};

// 50 steps; the batch grows from 1 slot to 5, so that ranks have none or several of them.
constexpr const char* kSame =
    " --quiet --set train.steps=50 --set train.slots=5 --set train.slot_rows=1"
    " --set train.batch_tokens=640 --set schedule.batch_from=128"
    " --set schedule.batch_ramp_tokens=16000 --set eval.every=25 --set samples.every=25"
    " --set checkpoint.every=25";

TEST_F(Mpi, Collectives) {
  for (const int n : {2, 4}) {
    const Result result = ranks(n, "check");
    EXPECT_EQ(result.code, 0) << result.err;
    EXPECT_EQ(result.out, fmt::format("{} ranks\n", n));
  }
}

TEST_F(Mpi, ErrorsAreToldOnceAndEndAllRanks) {
  const Result one = ranks(3, "fail 1");
  EXPECT_EQ(one.code, 3) << one.err;
  EXPECT_EQ(count_of(one.err, "told:"), 1u) << one.err;
  EXPECT_SAYS(one.err, "told: a batch of rank 1");
  const Result all = ranks(3, "fail 0 1 2");
  EXPECT_EQ(all.code, 3) << all.err;
  EXPECT_EQ(count_of(all.err, "told:"), 1u) << all.err;
  // The lowest, unless it is late by half a second.
  EXPECT_SAYS(all.err, "told: a batch of rank ");
  const Result silent = ranks(3, "silent 2");
  EXPECT_EQ(silent.code, 3) << silent.err;
  EXPECT_EQ(count_of(silent.err, "told:"), 1u) << silent.err;
  EXPECT_SAYS(silent.err, "told: no answer from rank 2 (process ");
}

TEST_F(Mpi, OneTwoAndFourRanksGiveTheSameBits) {
  make_data();
  for (const std::string precision : {"f32", "bf16"}) {
    const std::string options = kSame + (" --set train.precision=" + precision);
    ASSERT_EQ(run("train r.toml --out one_" + precision + options).code, 0);
    for (const int n : {2, 4}) {
      const std::string out = fmt::format("{}_{}", n, precision);
      const Result result = train(n, "r.toml --out " + out + options);
      ASSERT_EQ(result.code, 0) << result.err;
      EXPECT_SAYS(result.out, fmt::format("{} processes", n));
      EXPECT_EQ(count_of(result.out, out + ": 50 steps"), 1u) << result.out;
      expect_same_run("one_" + precision, out, "step-00000050");
      for (const char* file : {"checkpoints/step-00000050/state.json", "samples.jsonl"}) {
        EXPECT_TRUE(read_whole(folder_ / ("one_" + precision) / file) ==
                    read_whole(folder_ / out / file))
            << out << " " << file;
      }
    }
  }
  const std::string spread = "r.toml --set parallel.expert=2 --out spread";
  ASSERT_EQ(train(4, spread + kSame + " --set train.precision=bf16").code, 0);
  expect_same_run("one_bf16", "spread", "step-00000050");
  // What two wrote after 25 steps, one and four go on from.
  for (const int n : {1, 4}) {
    const std::string out = fmt::format("from_2_by_{}", n);
    fs::copy(folder_ / "2_bf16", folder_ / out, fs::copy_options::recursive);
    fs::remove_all(folder_ / out / "checkpoints/step-00000050");
    const std::string options = "--resume --quiet --out " + out;
    ASSERT_EQ((n == 1 ? run("train " + options) : train(n, options)).code, 0);
    expect_same_run("one_bf16", out, "step-00000050");
  }
}

TEST_F(Mpi, WhatCannotBeIsToldOnce) {
  make_data();
  const Result there = train(2, "r.toml --out data");
  EXPECT_EQ(there.code, 2) << there.err;
  EXPECT_EQ(count_of(there.err, "data is there and not empty"), 1u) << there.err;
  const Result odd = train(3, "r.toml --out a --set parallel.expert=2");
  EXPECT_EQ(odd.code, 2) << odd.err;
  EXPECT_EQ(count_of(odd.err, "parallel.expert is 2"), 1u) << odd.err;
  const Result other = train(2, "r.toml --out a --set parallel.data=4");
  EXPECT_EQ(other.code, 2) << other.err;
  EXPECT_EQ(count_of(other.err, "parallel.data is 4, and there are 2 processes"), 1u) << other.err;
  const Result unknown = train(2, "r.toml --out a --set parallel.date=4");
  EXPECT_EQ(unknown.code, 3) << unknown.err;
  EXPECT_EQ(count_of(unknown.err, "there is no 'parallel.date'"), 1u) << unknown.err;
}

// A process that has ended and that nobody has waited for does not run.
bool is_running(pid_t process) {
  const std::string stat = read_whole(fmt::format("/proc/{}/stat", process));
  const std::size_t end = stat.rfind(") ");
  return end != stat.npos && stat[end + 2] != 'Z' && stat[end + 2] != 'X';
}

// A run that would take hours.
constexpr const char* kLong =
    "r.toml --quiet --out a --set train.steps=1000000 --set checkpoint.every=1000000"
    " --set eval.every=0 --set samples.every=0";

TEST_F(Mpi, AKilledRankEndsTheOthersWithAMessage) {
  make_data();
  for (const int rank : {0, 1}) {
    fs::remove_all(folder_ / "a");
    const pid_t launcher = start(2, kLong);
    wait_for_steps("a", 3);
    const pid_t victim = process_of(launcher, rank), other = process_of(launcher, 1 - rank);
    ASSERT_GT(victim, 0);
    ASSERT_GT(other, 0);
    const auto begin = Clock::now();
    ::kill(victim, SIGKILL);
    const Result result = end_of(launcher);
    EXPECT_LT(Clock::now() - begin, std::chrono::seconds(30));
    EXPECT_NE(result.code, 0);
    EXPECT_SAYS(result.err, fmt::format("rank {} (process {} on ", rank, victim));
    EXPECT_SAYS(result.err, " is gone");
    for (int i = 0; i < 100 && is_running(other); ++i)
      std::this_thread::sleep_for(std::chrono::milliseconds(100));
    EXPECT_FALSE(is_running(other)) << "the other rank lives";
  }
}

// Of the first rank, which alone writes: in the background, while the others wait for nothing.
TEST_F(Mpi, ACheckpointThatCannotBeWrittenEndsAllRanks) {
  make_data();
  const pid_t launcher = start(2, std::string(kLong) + " --set checkpoint.every=20");
  wait_for_steps("a", 3);
  fs::remove_all(folder_ / "a/checkpoints");
  std::ofstream(folder_ / "a/checkpoints") << "in the way";
  const Result result = end_of(launcher);
  EXPECT_EQ(result.code, 1) << result.err;
  EXPECT_EQ(count_of(result.err, "while writing the checkpoint of step"), 1u) << result.err;
}

// On a file system of its own with room for three checkpoints, where this machine allows that.
TEST_F(Mpi, AFullDiskEndsAllRanksAndLosesNothing) {
  make_data();
  fs::create_directories(folder_ / "a");
  const std::string inside = fmt::format(
      "mount -t tmpfs -o size=1500k tmpfs a || exit; ({}{} train {} --set checkpoint.every=10);"
      " code=$?; cp -r a kept; exit $code",
      mpirun(2), NAUTILE_BINARY, kLong);
  const Result result =
      run_command("cd '" + folder_.string() + "' && unshare --mount sh -c '" + inside + "'");
  if (!fs::exists(folder_ / "kept")) GTEST_SKIP() << "no file system of its own: " << result.err;
  EXPECT_EQ(result.code, 1) << result.err;
  EXPECT_EQ(count_of(result.err, "No space left on device"), 1u) << result.err;
  std::size_t newest = 0;
  for (const auto& entry : fs::directory_iterator(folder_ / "kept/checkpoints"))
    newest = std::max<std::size_t>(newest, std::stoul(entry.path().filename().string().substr(5)));
  EXPECT_EQ(newest % 10, 0u);
  EXPECT_GE(newest, 10u);
  const Result more = run("train --resume --out kept --quiet --set train.max_minutes=1e-9");
  EXPECT_EQ(more.code, 0) << more.err;
  EXPECT_EQ(metrics("kept").back()["step"], newest + 1);
}

TEST_F(Mpi, ARequestToAnyRankStopsAllAfterACheckpoint) {
  make_data();
  struct Stop {
    int rank, signal;  // rank −1: mpirun itself
  };
  for (const auto& [rank, signal] : {Stop{1, SIGTERM}, Stop{0, SIGINT}, Stop{-1, SIGUSR1}}) {
    fs::remove_all(folder_ / "a");
    const pid_t launcher = start(2, kLong);
    wait_for_steps("a", 3);
    ::kill(rank < 0 ? launcher : process_of(launcher, rank), signal);
    const Result result = end_of(launcher);
    EXPECT_EQ(result.code, 130) << result.err;
    EXPECT_EQ(count_of(result.err, "go on with: nautile train --resume --out a"), 1u) << result.err;
    const auto step = metrics("a").back()["step"].get<std::int64_t>();
    EXPECT_TRUE(fs::exists(folder_ / fmt::format("a/checkpoints/step-{:08}", step)));
  }
}

}  // namespace
}  // namespace nautile::test
