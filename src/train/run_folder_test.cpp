// run_folder_test.cpp — checkpoints are whole, found, kept, and their damage is named.
#include "train/run_folder.h"

#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <csignal>
#include <fstream>

#include "base/file.h"
#include "train/run_testing.h"

namespace nautile::train {
namespace {

namespace fs = std::filesystem;
using Use = RunFolder::Use;

class RunFolderTest : public ::testing::Test {
 protected:
  RunFolderTest()
      : temporary_("run"),
        data_(make_tiny_data(temporary_.file("data"))),
        run_(tiny_trainer_config(), 1, data_) {}

  // A run with checkpoints of these steps.
  void save_steps(RunFolder& folder, std::initializer_list<std::int64_t> steps) {
    for (const std::int64_t step : steps) {
      while (run_.trainer.step_count() < step) run_.step();
      bits_[step] = run_.bits();
      folder.save(run_.trainer, run_.state());
    }
    folder.wait();
  }

  std::string out() const { return temporary_.file("out"); }
  std::string checkpoint(const std::string& name, const std::string& file = "") const {
    return out() + "/checkpoints/" + name + (file.empty() ? "" : "/" + file);
  }
  static void put_byte(const std::string& path, std::size_t at, char byte) {
    std::fstream file(path, std::ios::binary | std::ios::in | std::ios::out);
    file.seekp(static_cast<std::streamoff>(at)).put(byte);
  }
  static std::string message_of(const std::function<void()>& f) {
    try {
      f();
    } catch (const Error& error) {
      return error.what();
    }
    return "nothing was thrown";
  }

  TemporaryFolder temporary_;
  DataFolder data_;
  TinyRun run_;
  std::map<std::int64_t, std::string> bits_;
};

TEST_F(RunFolderTest, AllComesBack) {
  RunFolder folder(out(), Use::train);
  EXPECT_FALSE(folder.newest_valid());
  RunState state = run_.state();
  run_.step();
  state.next_slot = run_.next_slot;
  state.data_seed = ~std::uint64_t{0};
  state.extra = {{"held_out", 1.0 / 3}, {"skipped", {7, 8}}};
  state.recipe = "text = \"ünï\"\n\ttab\r\n";
  folder.save(run_.trainer, state);
  const std::string bits = run_.bits();
  run_.step();  // the copy is made: training goes on while it is written
  folder.wait();

  const auto saved = RunFolder(out(), Use::read).newest_valid();
  ASSERT_TRUE(saved);
  EXPECT_EQ(saved->state().step, 1);
  EXPECT_EQ(saved->state().extra, state.extra);
  EXPECT_EQ(saved->state().recipe, state.recipe);
  EXPECT_EQ(saved->state().data_seed, state.data_seed);
  EXPECT_EQ(saved->state().model_config, state.model_config);
  TinyRun other(tiny_trainer_config(), 2, data_);
  other.go_on_from(*saved);
  EXPECT_EQ(other.bits(), bits);
  other.step();
  EXPECT_EQ(other.bits(), run_.bits());
}

TEST_F(RunFolderTest, KeepsTheLastAndMilestones) {
  RunFolder folder(out(), Use::train, {.last = 2, .milestone_every = 4});
  save_steps(folder, {1, 2, 3, 4, 5, 6, 7, 8, 9});
  EXPECT_EQ(folder.steps(), (std::vector<std::int64_t>{4, 8, 9}));
  save_steps(folder, {10, 11});
  EXPECT_EQ(folder.steps(), (std::vector<std::int64_t>{4, 8, 10, 11}));
}

// However many damaged ones there are, the one just written stays.
TEST_F(RunFolderTest, NeverRemovesTheOnlyValidOne) {
  RunFolder folder(out(), Use::train, {.last = 1});
  save_steps(folder, {3});
  fs::create_directories(checkpoint("step-00000009"));
  fs::create_directories(checkpoint("step-00000002"));
  std::vector<std::string> notices;
  const auto newest = folder.newest_valid([&](const std::string& n) { notices.push_back(n); });
  ASSERT_TRUE(newest);
  EXPECT_EQ(newest->state().step, 3);
  ASSERT_EQ(notices.size(), 1u);
  EXPECT_NE(notices[0].find("step-00000009"), std::string::npos) << notices[0];
  save_steps(folder, {4});
  EXPECT_EQ(folder.steps(), (std::vector<std::int64_t>{4, 9}));
  EXPECT_EQ(folder.newest_valid()->state().step, 4);
}

TEST_F(RunFolderTest, GoesBackOnPurpose) {
  RunFolder folder(out(), Use::train);
  save_steps(folder, {1, 2, 3});
  EXPECT_NE(message_of([&] { folder.discard_after(7); }).find("it has those of 1, 2, 3"),
            std::string::npos);
  run_.go_on_from(folder.at_step(2));
  EXPECT_EQ(run_.bits(), bits_[2]);
  // The same step again, without the later ones removed: the second is newer and replaces it.
  save_steps(folder, {2});
  EXPECT_TRUE(fs::exists(checkpoint("step-00000002.2")));
  EXPECT_FALSE(fs::exists(checkpoint("step-00000002")));
  folder.discard_after(2);
  EXPECT_EQ(folder.steps(), (std::vector<std::int64_t>{1, 2}));
  EXPECT_EQ(folder.newest_valid()->path(), checkpoint("step-00000002.2"));
  folder.discard_after(0);
  EXPECT_FALSE(folder.newest_valid());
}

// Any byte of any file; the state's files wholly, of the numbers' files the header's first bytes
// and a draw of the rest.
TEST_F(RunFolderTest, EveryFlippedByteIsFound) {
  RunFolder folder(out(), Use::train);
  save_steps(folder, {1, 2});
  const std::string newest = checkpoint("step-00000002");
  for (const fs::directory_entry& entry : fs::directory_iterator(newest)) {
    const std::string path = entry.path().string(), whole = read_file(path);
    const bool small = whole.size() < 10'000;
    const std::size_t tries = small ? whole.size() : 24;
    for (std::size_t i = 0; i < tries; ++i) {
      const std::size_t at = small || i < 9 ? i : philox(1, i, 2)[0] % whole.size();
      put_byte(path, at, static_cast<char>(whole[at] ^ (1 << i % 8)));
      const std::string message = message_of([&] { folder.at_step(2); });
      put_byte(path, at, whole[at]);
      ASSERT_NE(message.find(small ? "state" : entry.path().filename().string()), std::string::npos)
          << message << " byte " << at;
    }
    put_byte(path, 0, static_cast<char>(~whole[0]));
    std::string notice;
    EXPECT_EQ(folder.newest_valid([&](const std::string& n) { notice = n; })->state().step, 1);
    EXPECT_NE(notice.find("the checkpoint step-00000002 is damaged: "), std::string::npos);
    for (const std::size_t size : {std::size_t{0}, whole.size() / 2, whole.size() - 1}) {
      std::ofstream(path, std::ios::binary) << whole.substr(0, size);
      EXPECT_EQ(folder.newest_valid()->state().step, 1) << path << " cut to " << size;
    }
    fs::remove(path);
    EXPECT_EQ(folder.newest_valid()->state().step, 1) << path << " removed";
    std::ofstream(path, std::ios::binary) << whole;
  }
  EXPECT_EQ(folder.newest_valid()->state().step, 2);
  fs::remove(newest + "/state.json");
  fs::remove(checkpoint("step-00000001", "masters.safetensors"));
  const std::string message = message_of([&] { folder.newest_valid(); });
  EXPECT_NE(message.find("step-00000001 is damaged"), std::string::npos) << message;
  EXPECT_NE(message.find("step-00000002 is damaged"), std::string::npos) << message;
}

// It may hold what this program cannot judge; falling back would lose it silently.
TEST_F(RunFolderTest, RefusesALaterFormat) {
  EXPECT_NE(message_of([] {
              StateFile::parse(R"({"format": 2})", "state.json");
            }).find("has format 2, this nautile reads 1"),
            std::string::npos);
  StateFile state;
  state.files["../masters"] = {};
  EXPECT_NE(message_of([&] { StateFile::parse(state.text(), "x"); }).find("not plain"),
            std::string::npos);
}

// Whatever stands in a state.json, it is read or refused.
TEST_F(RunFolderTest, BrokenStatesAreErrors) {
  StateFile state{run_.state(), facts_of(run_.trainer), {{"masters.safetensors", {7, 9}}}};
  const std::string whole = state.text();
  EXPECT_EQ(StateFile::parse(whole, "state.json").text(), whole);
  constexpr std::string_view kSpice = "{}[]\":,-019.eE nulltrue\\\xff";
  int read = 0;
  for (std::uint64_t i = 0; i < 3000; ++i) {
    std::string text = whole;
    const auto random = philox(11, i, 3);
    for (std::uint64_t k = 0; k <= random[0] % 3; ++k) {
      const std::size_t at = philox(12, i, k)[1] % text.size();
      if (random[2] % 3 == 0) {
        text.erase(at, 1 + random[3] % 40);
      } else {
        text[at] = kSpice[philox(13, i, k)[0] % kSpice.size()];
      }
    }
    try {
      StateFile::parse(text, "state.json");
      ++read;
    } catch (const Error&) {
    }
  }
  EXPECT_GT(read, 100);
  for (const char* member : {"\"step\": 0", "\"next_slot\": 0"}) {
    std::string text = whole;
    text.replace(text.find(member) + std::strlen(member) - 1, 1, "1e300");
    EXPECT_THROW(StateFile::parse(text, "state.json"), Error) << member;
  }
}

TEST_F(RunFolderTest, NamesEveryDifference) {
  RunFolder folder(out(), Use::train);
  save_steps(folder, {1});
  const SavedStep saved = folder.at_step(1);
  TrainerConfig other = tiny_trainer_config();
  other.precision = Precision::f32;
  other.ema_decay = 0;
  other.optimizer.kind = OptimizerConfig::Kind::muon;
  other.optimizer.moments = MomentFormat::f32;
  TinyRun run(other, 1, data_);
  const std::string before = run.bits();
  const std::string message = message_of([&] { saved.load_into(run.trainer); });
  for (const char* part : {"precision is bf16 there, f32 here", "ema is yes there, no here",
                           "optimizer is adamw there, muon here", "moments is bf16 there"}) {
    EXPECT_NE(message.find(part), std::string::npos) << message;
  }
  EXPECT_EQ(run.bits(), before);

  nlohmann::json json = tiny_v3_config();
  json["num_hidden_layers"] = 3;
  const ModelConfig deeper = family_of_hf("deepseek_v3").from_hf(json);
  json["num_hidden_layers"] = 2;
  json["moe_intermediate_size"] = 64;
  const ModelConfig wider = family_of_hf("deepseek_v3").from_hf(json);
  for (const ModelConfig& config : {deeper, wider}) {
    Trainer trainer(config, tiny_trainer_config(), *run.backend, 1 << 20);
    EXPECT_NE(message_of([&] { saved.load_into(trainer); })
                  .find(config.layers == 3
                            ? "weights, the model here"
                            : "experts.0.gate is F32 [56, 160], the trainer's is F32 [64, 160]"),
              std::string::npos)
        << message_of([&] { saved.load_into(trainer); });
  }
}

TEST_F(RunFolderTest, OneTrainsTheOthersRead) {
  EXPECT_NE(message_of([&] { RunFolder(out(), Use::read); }).find("no such folder"),
            std::string::npos);
  const RunFolder folder(out(), Use::train);
  EXPECT_NE(message_of([&] { RunFolder(out(), Use::train); }).find("another process trains in"),
            std::string::npos);
  EXPECT_TRUE(RunFolder(out(), Use::read).steps().empty());
}

TEST_F(RunFolderTest, ClearsAwayWhatIsHalfDone) {
  { RunFolder folder(out(), Use::train); }
  fs::create_directories(checkpoint(".writing-step-00000001", "x"));
  fs::create_directories(checkpoint(".removed-step-00000001"));
  fs::create_directories(checkpoint("steps"));
  EXPECT_TRUE(RunFolder(out(), Use::read).steps().empty());
  EXPECT_TRUE(fs::exists(checkpoint(".writing-step-00000001")));
  { RunFolder folder(out(), Use::train); }
  EXPECT_FALSE(fs::exists(checkpoint(".writing-step-00000001")));
  EXPECT_FALSE(fs::exists(checkpoint(".removed-step-00000001")));
  EXPECT_TRUE(fs::exists(checkpoint("steps")));
}

// What a write that cannot be finished must leave: its error at the next call, the earlier
// checkpoint, nothing half done; and once there is room again, it goes on.
void expect_nothing_lost(RunFolder& folder, TinyRun& run, const char* reason,
                         const std::function<void()>& fill,
                         const std::function<void()>& make_room) {
  run.step();
  const std::string bits = run.bits();
  folder.save(run.trainer, run.state());
  folder.wait();
  fill();
  run.step();
  folder.save(run.trainer, run.state());
  std::string message = "nothing was thrown";
  try {
    folder.save(run.trainer, run.state());
  } catch (const Error& error) {
    message = error.what();
  }
  make_room();
  EXPECT_NE(message.find(reason), std::string::npos) << message;
  EXPECT_NE(message.find("while writing the checkpoint of step 2"), std::string::npos) << message;
  const auto newest = folder.newest_valid([](const std::string& n) { ADD_FAILURE() << n; });
  ASSERT_TRUE(newest);
  EXPECT_EQ(newest->state().step, 1);
  EXPECT_EQ(std::distance(fs::directory_iterator(folder.file("checkpoints")), {}), 1);
  folder.save(run.trainer, run.state());
  folder.wait();
  EXPECT_EQ(folder.newest_valid()->state().step, 2);
  run.go_on_from(folder.at_step(1));
  EXPECT_EQ(run.bits(), bits);
}

TEST_F(RunFolderTest, AFileThatMayNotGrowIsTold) {
  RunFolder folder(out(), Use::train);
  rlimit old{};
  getrlimit(RLIMIT_FSIZE, &old);
  std::signal(SIGXFSZ, SIG_IGN);
  expect_nothing_lost(
      folder, run_, "File too large",
      [&] {
        const rlimit low{100'000, old.rlim_max};
        setrlimit(RLIMIT_FSIZE, &low);
      },
      [&] { setrlimit(RLIMIT_FSIZE, &old); });
  std::signal(SIGXFSZ, SIG_DFL);
}

// A process of its own with a small file system of its own, where this machine allows that.
TEST_F(RunFolderTest, AFullDiskIsTold) {
  constexpr int kNotAllowed = 77;
  const pid_t child = ::fork();
  if (child == 0) {
    const std::string disk = temporary_.file("disk");
    fs::create_directories(disk);
    const int spaces = ::geteuid() == 0 ? CLONE_NEWNS : CLONE_NEWUSER | CLONE_NEWNS;
    if (::unshare(spaces) != 0 ||
        ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
        ::mount("tmpfs", disk.c_str(), "tmpfs", 0, "size=64m") != 0) {
      ::_exit(kNotAllowed);
    }
    RunFolder folder(disk + "/run", Use::train);
    const std::string filler = disk + "/filler";
    expect_nothing_lost(
        folder, run_, "No space left on device",
        [&] {
          std::ofstream file(filler, std::ios::binary);
          while (file << std::string(4096, 'x') << std::flush) {
          }
        },
        [&] { fs::remove(filler); });
    ::_exit(HasFailure() ? 1 : 0);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFEXITED(status));
  if (WEXITSTATUS(status) == kNotAllowed) GTEST_SKIP() << "no file system may be mounted here";
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

TEST_F(RunFolderTest, KeepsTheTokenizersFiles) {
  fs::create_directories(temporary_.file("data"));
  std::ofstream(temporary_.file("data/tokenizer.json")) << "{}";
  std::ofstream(temporary_.file("data/other.json")) << "{}";
  RunFolder folder(out(), Use::train);
  EXPECT_EQ(folder.keep_tokenizer(temporary_.file("data")), 1);
  EXPECT_EQ(read_file(folder.tokenizer_folder() + "/tokenizer.json"), "{}");
}

}  // namespace
}  // namespace nautile::train
