// train_cli_test.cpp — from outside: nautile train, its plan, its files, and going on after a stop.
#include "tests/train_cli.h"

namespace nautile::test {
namespace {

using TrainCli = TrainFolder;

TEST_F(TrainCli, PlansDeepSeekV3WithoutMemory) {
  const std::string recipe = (fs::current_path() / "recipes/deepseek-v3.toml").string();
  // In 4 GB of address space.
  const Result result = run("train " + recipe + " --dry-run --json", "ulimit -v 4000000 &&");
  ASSERT_EQ(result.code, 0) << result.err;
  const json plan = json::parse(result.out);
  EXPECT_EQ(plan["parameters"], 671026419200);
  EXPECT_EQ(plan["active_parameters"].get<double>() / 1e9, 36.625625600);
  EXPECT_NEAR(plan["device_hours"].get<double>(), 2.664e6, 1);
  EXPECT_NEAR(plan["dollars"].get<double>(), 5.328e6, 1);
  for (const json& value : plan["values"]) EXPECT_NE(value["origin"], "") << value;
  const Result text = run("train " + recipe + " --dry-run");
  EXPECT_SAYS(text.out, "671026419200");
  EXPECT_SAYS(text.out, "2.664 M device hours on 2048 devices: 54.2 days");
  EXPECT_SAYS(text.out, "$5.328 M");
  EXPECT_SAYS(text.out, "DeepSeek-V3 report §4.2");
  EXPECT_SAYS(run("train " + recipe + " --out r").err, "does not fit in memory");
}

TEST_F(TrainCli, EveryRecipeOfOursCanBePlanned) {
  for (const char* name : {"debug", "think-small", "think"}) {
    const auto recipe = fs::current_path() / "recipes" / (std::string(name) + ".toml");
    const Result result = run("train " + recipe.string() + " --dry-run --json");
    ASSERT_EQ(result.code, 0) << result.err;
    const json plan = json::parse(result.out);
    EXPECT_TRUE(plan["notices"].empty()) << plan["notices"];
    EXPECT_GT(plan["hours"].get<double>(), 0);
  }
}

TEST_F(TrainCli, TrainsStopsAndGoesOnToTheSameBits) {
  make_data();
  const Result whole = run("train r.toml --out whole");
  ASSERT_EQ(whole.code, 0) << whole.err;
  EXPECT_SAYS(whole.out, "DeepSeek-V3 report §4.2");
  EXPECT_SAYS(whole.out, "whole: 3 steps");
  EXPECT_SAYS(whole.out, "bits per byte");
  EXPECT_SAYS(whole.err, "step 1 ");
  EXPECT_SAYS(whole.err, "no fill-in-the-middle tokens");
  // Out of time after the first step, then after the second.
  ASSERT_EQ(run("train r.toml --out parts --set train.max_minutes=1e-9").code, 0);
  const Result second = run("train --resume --out parts --threads 1");
  EXPECT_EQ(second.code, 0) << second.err;
  EXPECT_SAYS(second.err, "going on after step 1");
  EXPECT_SAYS(second.err, "--resume --out parts");
  const Result last = run("train r.toml --resume --out parts --quiet");
  ASSERT_EQ(last.code, 0) << last.err;
  EXPECT_SAYS(last.err, "changed since the checkpoint: train.max_minutes: 0.0, was 1e-09");
  const std::vector<json> a = metrics("whole"), b = metrics("parts");
  ASSERT_EQ(a.size(), 3u);
  EXPECT_EQ(a, b);
  EXPECT_GT(a[1]["held_out"]["tasks"]["bits_per_byte"].get<double>(), 1);
  EXPECT_TRUE(a[2].contains("expert_loads"));
  for (const char* file : {"masters.safetensors", "optimizer.safetensors"}) {
    const std::string bytes = checkpoint("whole", "step-00000003", file);
    EXPECT_FALSE(bytes.empty());
    EXPECT_TRUE(bytes == checkpoint("parts", "step-00000003", file)) << file;
  }
  EXPECT_SAYS(read_whole(folder_ / "whole/samples.jsonl"), "\"step\":3");
  const std::string events = read_whole(folder_ / "parts/events.jsonl");
  for (const char* event : {"begun", "stopped after step 1", "going on after step 1",
                            "stopped after step 2", "going on after step 2", "finished"})
    EXPECT_SAYS(events, event);
  const Result report = run("report whole parts");
  ASSERT_EQ(report.code, 0) << report.err;
  EXPECT_SAYS(report.out, "parts: 3 steps");
  EXPECT_SAYS(read_whole(folder_ / "whole/comparison.html"), "2 training runs side by side");
  EXPECT_SAYS(read_whole(folder_ / "whole/recipe.toml"), "DeepSeek-V3 report");
}

TEST_F(TrainCli, RefusesWhatWouldLoseARun) {
  make_data();
  ASSERT_EQ(run("train r.toml --out a").code, 0);
  const Result again = run("train r.toml --out a");
  EXPECT_EQ(again.code, 2);
  EXPECT_SAYS(again.err, "a is there and not empty");
  EXPECT_SAYS(again.err, "--resume");
  const Result other = run("train r.toml --out a --resume --set data.seq_len=64");
  EXPECT_EQ(other.code, 3);
  EXPECT_SAYS(other.err, "data.seq_len: 64, was 128");
  EXPECT_EQ(run("train --out b").code, 2);
  EXPECT_EQ(run("train --resume --out b").code, 1);
  EXPECT_EQ(run("train r.toml").code, 2);
  EXPECT_EQ(run("train r.toml --out b --json").code, 2);
  EXPECT_SAYS(run("train r.toml --out b --set train.stesp=1").err, "did you mean 'train.steps'?");
  EXPECT_SAYS(run("train r.toml --out b --set data.folder=none").err, "no data folder");
  EXPECT_SAYS(run("train r.toml --out b --set data.fim_rate=0.2").err, "fill-in-the-middle");
  EXPECT_SAYS(run("train r.toml --out b --set model.vocab_size=300").err, "the data in");
  EXPECT_FALSE(fs::exists(folder_ / "b"));
  // Weights of a run, with another length of rows.
  const Result from = run("train r.toml --out c --set model.from=a --set data.seq_len=64");
  EXPECT_EQ(from.code, 0) << from.err;
  EXPECT_LT(metrics("c")[0]["loss"].get<double>(), metrics("a")[0]["loss"].get<double>());
}

// A run goes on with the data it began with, wherever they lie now, and not with others.
TEST_F(TrainCli, DataMayMoveButNotChange) {
  make_data();
  const std::string one_step = " --quiet --set train.max_minutes=1e-9";
  ASSERT_EQ(run("train r.toml --out a" + one_step).code, 0);
  fs::rename(folder_ / "data", folder_ / "elsewhere");
  EXPECT_EQ(run("train --resume --out a" + one_step).code, 1);
  const Result moved = run("train --resume --out a --set data.folder=elsewhere" + one_step);
  EXPECT_EQ(moved.code, 0) << moved.err;
  EXPECT_EQ(metrics("a").size(), 2u);
  fs::remove_all(folder_ / "elsewhere");
  ASSERT_EQ(run("data generate arithmetic logic --count 400 --seed 2 --out p.jsonl").code, 0);
  ASSERT_EQ(run("data build spec.toml --out elsewhere").code, 0);
  const Result changed = run("train --resume --out a --set data.folder=elsewhere" + one_step);
  EXPECT_EQ(changed.code, 3);
  EXPECT_SAYS(changed.err, "a was begun on other data");
  EXPECT_SAYS(changed.err, "what is in ");
  EXPECT_EQ(metrics("a").size(), 2u);
}

// What data and model do not share is said before a step is made.
TEST_F(TrainCli, TokenizersAndShapesMustFit) {
  make_data();
  ASSERT_EQ(run("train r.toml --out a --quiet --set train.steps=1").code, 0);
  const Result shape = run("train r.toml --out b --set model.from=a --set model.hidden_size=64");
  EXPECT_EQ(shape.code, 3) << shape.err;
  EXPECT_SAYS(shape.err, "embedding is F32 [400, 32]");
  ASSERT_EQ(run("export a --to folder").code, 0);
  const Result folder =
      run("train r.toml --out b2 --set model.from=folder --set model.hidden_size=64");
  EXPECT_EQ(folder.code, 3) << folder.err;
  EXPECT_SAYS(folder.err, "embedding is [400, 32] in the checkpoint, [400, 64] in the recipe");
  ASSERT_EQ(run("tokenizer train p.jsonl --vocab 390 --out tok").code, 0);
  ASSERT_EQ(run("data build spec.toml --out other").code, 0);
  const Result tokens =
      run("train r.toml --out c --quiet --set model.from=a --set data.folder=other");
  EXPECT_EQ(tokens.code, 0) << tokens.err;
  EXPECT_SAYS(tokens.err, "is another file than the tokenizer of the data");
  fs::copy_file(folder_ / "data/tokenizer.json", folder_ / "other/tokenizer.json",
                fs::copy_options::overwrite_existing);
  const Result swapped = run("train r.toml --out d --set data.folder=other");
  EXPECT_EQ(swapped.code, 3) << swapped.err;
  EXPECT_SAYS(swapped.err, "is not the tokenizer that the shards");
}

TEST_F(TrainCli, WhatItBeganWithMayBeGone) {
  make_data();
  ASSERT_EQ(run("train r.toml --out first --quiet --set train.steps=1").code, 0);
  ASSERT_EQ(run("train r.toml --out a --quiet --set model.from=first"
                " --set train.max_minutes=1e-9")
                .code,
            0);
  fs::remove_all(folder_ / "first");
  const Result more = run("train --resume --out a --quiet");
  EXPECT_EQ(more.code, 0) << more.err;
  EXPECT_EQ(metrics("a").size(), 2u);
}

// The program itself, killed ever later until it comes to its end.
TEST_F(TrainCli, KilledAtAnyInstantItGoesOnToTheSameBits) {
  make_data();
  const std::string options =
      "train r.toml --quiet --set train.steps=60 --set checkpoint.every=3 --set eval.every=7"
      " --set samples.every=20 --resume --out ";
  ASSERT_EQ(run(options + "whole").code, 0);
  int kills = 0;
  for (double seconds = 0.2;; seconds *= 1.2) {
    const Result result = run(options + "parts", fmt::format("timeout -s KILL {:.2f}", seconds));
    if (result.code == 0) break;
    ASSERT_EQ(result.code, 137) << result.err;
    ASSERT_LT(++kills, 60);
  }
  fmt::print("killed {} times\n", kills);
  EXPECT_EQ(metrics("whole"), metrics("parts"));
  EXPECT_EQ(read_whole(folder_ / "whole/samples.jsonl"),
            read_whole(folder_ / "parts/samples.jsonl"));
  for (const char* file : {"masters.safetensors", "optimizer.safetensors"}) {
    const std::string bytes = checkpoint("whole", "step-00000060", file);
    EXPECT_FALSE(bytes.empty());
    EXPECT_TRUE(bytes == checkpoint("parts", "step-00000060", file)) << file;
  }
}

TEST_F(TrainCli, CtrlCEndsWithACheckpoint) {
  make_data();
  const Result result =
      run("train r.toml --out a --set train.steps=1000000", "timeout --preserve-status -s INT 3");
  EXPECT_EQ(result.code, 130);
  EXPECT_SAYS(result.err, "go on with: nautile train --resume --out a");
  ASSERT_FALSE(metrics("a").empty());
  const auto step = metrics("a").back()["step"].get<std::int64_t>();
  EXPECT_TRUE(fs::exists(folder_ / "a/checkpoints" / fmt::format("step-{:08}", step)));
}

TEST_F(TrainCli, ReportShowsARunWhateverStateItIsIn) {
  make_data();
  ASSERT_EQ(run("train r.toml --out a").code, 0);
  const Result first = run("report a");
  ASSERT_EQ(first.code, 0) << first.err;
  EXPECT_EQ(first.err, "");
  EXPECT_SAYS(first.out, "a: 3 steps");
  const std::string page = read_whole(folder_ / "a/report.html");
  for (const char* part :
       {"<!DOCTYPE html>", "Content-Security-Policy", "Loss", "Held-out text", "MTP loss",
        "Balance loss", "Gradient norm", "Learning rate", "Speed", "MFU", "Expert load", "Layer 1",
        "1 + 2 = ?", "DeepSeek-V3 report §4.2", "train.batch_tokens", "finished"})
    EXPECT_SAYS(page, part);
  // A folder that a killed run left, with what should not be there.
  std::ofstream(folder_ / "a/metrics.jsonl", std::ios::app) << "{oops}\n{\"step\":4,\"lo";
  std::ofstream(folder_ / "a/samples.jsonl", std::ios::app)
      << R"({"step":3,"prompt":"p","text":"<script>alert(1)</script>"})"
      << "\n";
  fs::remove(folder_ / "a/recipe.toml");
  const Result torn = run("report a/ --out page.html");
  ASSERT_EQ(torn.code, 0) << torn.err;
  EXPECT_SAYS(torn.err, "the last line is not whole");
  EXPECT_SAYS(torn.err, "1 of 5 lines cannot be read");
  EXPECT_SAYS(torn.err, "there is no recipe.toml");
  const std::string later = read_whole(folder_ / "page.html");
  EXPECT_EQ(later.find("<script>alert"), std::string::npos);
  EXPECT_SAYS(later, "&lt;script&gt;alert(1)");
  EXPECT_SAYS(later, "the last line is not whole");

  const Result nothing = run("report none");
  EXPECT_EQ(nothing.code, 1);
  EXPECT_SAYS(nothing.err, "none holds no metrics.jsonl");
  EXPECT_EQ(run("report").code, 2);
  EXPECT_EQ(run("report a --out no/such/folder.html").code, 1);
}

// After 50 steps any loss above half of the mean counts.
TEST_F(TrainCli, SpikesStopOrAreSkipped) {
  make_data();
  const std::string options =
      " --set train.steps=60 --set train.slots=1 --set train.batch_tokens=128 --threads 1 --quiet"
      " --set train.spike_factor=0.5 --set checkpoint.every=20";
  const Result stop = run("train r.toml --out a" + options);
  EXPECT_EQ(stop.code, 1);
  EXPECT_SAYS(stop.err, "step 51: loss");
  EXPECT_SAYS(stop.err, "of slots 50 to 50 slot");
  const json bad = json::parse(read_whole(folder_ / "a/bad-step-00000051.json"));
  EXPECT_EQ(bad["slots"][0]["slot"], 50);
  EXPECT_FALSE(bad["slots"][0]["documents"][0]["text"].get<std::string>().empty());
  const Result skip =
      run("train r.toml --out b --set train.on_spike=skip --set train.max_skips=2" + options);
  EXPECT_EQ(skip.code, 1);
  EXPECT_SAYS(skip.err, "going back to step 40; slots 40 to 50 are left out");
  EXPECT_SAYS(skip.err, "2 times batches were left out already");
  const Result report = run("report a b --out both.html");
  ASSERT_EQ(report.code, 0) << report.err;
  const std::string page = read_whole(folder_ / "both.html");
  EXPECT_SAYS(page, "of slots 50 to 50 slot");
  EXPECT_SAYS(page, "going back to step 40; slots 40 to 50 are left out");
  EXPECT_EQ(metrics("b")[40]["first_slot"], 62);  // steps 41 to 51 ran from 51, then from 62
}

}  // namespace
}  // namespace nautile::test
