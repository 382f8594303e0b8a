// tune_cli_test.cpp — from outside: nautile sft, dpo, merge and --lora, on a tiny model.
#include <cmath>

#include "tests/chat_model.h"
#include "tests/program.h"

namespace nautile::test {
namespace {

class TuneCli : public ProgramFolder {
 protected:
  void SetUp() override {
    ProgramFolder::SetUp();
    make_chat_model(folder_);  // -> folder_/model
    std::ofstream chats(folder_ / "chats.jsonl"), pairs(folder_ / "pairs.jsonl");
    for (int i = 0; i < 60; ++i) {
      const std::string question = "say " + std::to_string(i);
      chats << json{{"messages",
                     {{{"role", "user"}, {"content", question}},
                      {{"role", "assistant"}, {"content", "yes"}}}}}
            << "\n";
      pairs << json{{"prompt", question}, {"chosen", "yes"}, {"rejected", "no"}} << "\n";
    }
    std::ofstream(folder_ / "text.txt") << "user: say 7\nassistant: yes and no and yes";
  }
  double nats(const std::string& model) const {
    const Result result = run("eval perplexity text.txt --json --class f32 " + model);
    EXPECT_EQ(result.code, 0) << result.err;
    return result.code == 0 ? json::parse(result.out)["nats_per_token"].get<double>() : 0;
  }
};

#define EXPECT_SAYS(text, part) EXPECT_NE((text).find(part), std::string::npos) << (text)

constexpr const char* kFast = " --quiet --lr 3e-3 --seq-len 128 --batch-tokens 512 --epochs ";

TEST_F(TuneCli, SftMakesAModelThatAnswersAsItWasTaught) {
  const Result tuned = run(std::string("sft -m model --data chats.jsonl --out a") + kFast + "8");
  ASSERT_EQ(tuned.code, 0) << tuned.err;
  EXPECT_SAYS(tuned.out, "60 lines: ");
  EXPECT_SAYS(tuned.out, "talk with it: nautile chat -m a");
  const std::vector<json> steps = metrics("a");
  EXPECT_LT(steps.back()["loss"].get<double>(), 0.3 * steps.front()["loss"].get<double>());
  EXPECT_TRUE(steps.back().contains("held_out"));
  for (const char* file : {"config.json", "model.safetensors", "tokenizer.json"})
    EXPECT_TRUE(fs::exists(folder_ / "a" / file)) << file;
  const Result answer = run("chat -m a -p 'say 3' --temperature 0 --speed off --max-tokens 20");
  EXPECT_EQ(answer.code, 0) << answer.err;
  EXPECT_EQ(answer.out.substr(0, 3), "yes") << answer.out;
  EXPECT_EQ(run("sft -m model --data chats.jsonl --out a").code, 2);
}

TEST_F(TuneCli, SftGoesOnToTheSameBits) {
  const std::string options =
      " --quiet --lr 1e-3 --seq-len 128 --batch-tokens 512 --set eval.every=2 --patience 50";
  ASSERT_EQ(run("sft -m model --data chats.jsonl --out whole" + options).code, 0);
  Result part =
      run("sft -m model --data chats.jsonl --out parts --set train.max_minutes=1e-9" + options);
  ASSERT_EQ(part.code, 0) << part.err;
  EXPECT_SAYS(part.err, "nautile sft --resume --out parts");
  part = run("sft --resume --out parts --threads 1 --set train.max_minutes=0");
  ASSERT_EQ(part.code, 0) << part.err;
  EXPECT_GT(metrics("whole").size(), 3u);
  EXPECT_EQ(metrics("whole"), metrics("parts"));
  EXPECT_TRUE(read_whole(folder_ / "whole/model.safetensors") ==
              read_whole(folder_ / "parts/model.safetensors"));
  const Result moved = run("sft --resume --out parts --set tune.held_out=0.5");
  EXPECT_EQ(moved.code, 3);
  EXPECT_SAYS(moved.err, "tune.held_out");
}

// Data that were made for a run without a single step belong to nothing.
TEST_F(TuneCli, WithoutACheckpointDataAreMadeAnew) {
  const Result tuned =
      run("sft -m model --data chats.jsonl --out a --quiet --steps 1 --seq-len 128");
  ASSERT_EQ(tuned.code, 0) << tuned.err;
  EXPECT_SAYS(tuned.out, "60 lines: ");
  fs::remove_all(folder_ / "a/checkpoints");
  std::ofstream(folder_ / "other.jsonl")
      << read_whole(folder_ / "chats.jsonl") << read_whole(folder_ / "chats.jsonl");
  const Result again =
      run("sft -m model --data other.jsonl --out a --quiet --steps 1 --seq-len 128 --resume");
  EXPECT_EQ(again.code, 0) << again.err;
  EXPECT_SAYS(again.out, "120 lines: ");
  EXPECT_EQ(run("dpo -m model --data pairs.jsonl --out b --set schedule.mtp_lambda=0.1").code, 3);
}

TEST_F(TuneCli, StopsWhenNothingGetsBetter) {
  const Result result =
      run("sft -m model --data chats.jsonl --out a --quiet --lr 0 --seq-len 128 --batch-tokens 256 "
          "--epochs 50 --set eval.every=1 --patience 2");
  ASSERT_EQ(result.code, 0) << result.err;
  EXPECT_SAYS(result.err, "2 evaluations in a row");
  EXPECT_EQ(metrics("a").size(), 3u);
  EXPECT_SAYS(result.out, "step 1 (the best");
}

TEST_F(TuneCli, AnAdapterIsTrainedUsedAndMerged) {
  const Result tuned =
      run(std::string("sft -m model --data chats.jsonl --out a --lora-rank 8") + kFast + "16");
  ASSERT_EQ(tuned.code, 0) << tuned.err;
  const json config = json::parse(read_whole(folder_ / "a/adapter_config.json"));
  EXPECT_EQ(config["peft_type"], "LORA");
  EXPECT_EQ(config["r"], 8);
  EXPECT_FALSE(fs::exists(folder_ / "a/config.json"));
  const std::vector<json> steps = metrics("a");
  EXPECT_LT(steps.back()["loss"].get<double>(), 0.8 * steps.front()["loss"].get<double>());

  const double base = nats("-m model"), adapted = nats("-m model --lora a");
  EXPECT_GT(std::abs(base - adapted), 1e-3);
  const std::string question = "chat -p 'say 3' --temperature 0 --speed off --max-tokens 20 ";
  const Result said = run(question + "-m model --lora a");
  EXPECT_EQ(said.code, 0) << said.err;
  EXPECT_NE(said.out, run(question + "-m model").out);
  const Result merged = run("merge -m model --lora a --to merged");
  ASSERT_EQ(merged.code, 0) << merged.err;
  // The merged weights are rounded to BF16 once more: 2^-9 relative, over some ten products in a
  // row.
  EXPECT_NEAR(nats("-m merged"), adapted, 0.02 * adapted);
  EXPECT_EQ(run("merge -m model --lora a --to merged").code, 2);
}

TEST_F(TuneCli, AFreshAdapterAddsNothing) {
  const Result tuned =
      run("sft -m model --data chats.jsonl --out a --lora-rank 4 --lr 0 --steps 1 --quiet "
          "--seq-len 128");
  ASSERT_EQ(tuned.code, 0) << tuned.err;
  EXPECT_EQ(nats("-m model --lora a"), nats("-m model"));
}

TEST_F(TuneCli, AnAdapterFitsAModelOrSaysWhyNot) {
  EXPECT_EQ(run("chat -m model --lora none -p x").code, 1);
  ASSERT_EQ(run("sft -m model --data chats.jsonl --out a --lora-rank 4 --steps 1 --quiet "
                "--seq-len 128 --lora-targets attention")
                .code,
            0);
  json config = json::parse(read_whole(folder_ / "a/adapter_config.json"));
  EXPECT_EQ(config["target_modules"].size(), 4u);
  config["r"] = 5;
  write("a/adapter_config.json", config.dump());
  const Result shapes = run("chat -m model --lora a -p x");
  EXPECT_EQ(shapes.code, 3);
  EXPECT_SAYS(shapes.err, "self_attn.q_proj.lora_A.weight");
  EXPECT_SAYS(shapes.err, "self_attn.o_proj.lora_B.weight");
  config["r"] = 4;
  config["use_dora"] = true;
  write("a/adapter_config.json", config.dump());
  const Result dora = run("chat -m model --lora a -p x");
  EXPECT_EQ(dora.code, 5);
  EXPECT_SAYS(dora.err, "use_dora");
  EXPECT_EQ(run("sft -m model --data chats.jsonl --out b --lora-rank -1").code, 3);
  EXPECT_EQ(run("sft -m model --data chats.jsonl --out b --lora-rank 4000").code, 3);
  EXPECT_EQ(run("sft -m model --data chats.jsonl --out b --lora-rank 4 --lora-targets x").code, 3);
  EXPECT_FALSE(fs::exists(folder_ / "b"));
}

TEST_F(TuneCli, DpoPrefersWhatWasChosen) {
  for (const char* adapter : {"", " --lora-rank 8"}) {
    fs::remove_all(folder_ / "a");
    const Result tuned =
        run(std::string("dpo -m model --data pairs.jsonl --out a --quiet --lr 1e-3 "
                        "--seq-len 128 --batch-tokens 512 --epochs 4") +
            adapter);
    ASSERT_EQ(tuned.code, 0) << tuned.err;
    const std::vector<json> steps = metrics("a");
    EXPECT_NEAR(steps.front()["loss"].get<double>(), std::log(2.0), 1e-6);
    EXPECT_EQ(steps.front()["rewards/margins"], 0);
    EXPECT_LT(steps.back()["loss"].get<double>(), 0.6);
    EXPECT_GT(steps.back()["rewards/margins"].get<double>(), 0);
    EXPECT_EQ(steps.back()["rewards/accuracies"], 1);
    EXPECT_EQ(steps.back()["held_out"]["all"]["rewards/accuracies"], 1);
    EXPECT_SAYS(tuned.out, "rewards/accuracies");
  }
}

TEST_F(TuneCli, DpoGoesOnToTheSameBits) {
  const std::string options = " --quiet --lr 1e-3 --seq-len 128 --batch-tokens 512";
  ASSERT_EQ(run("dpo -m model --data pairs.jsonl --out whole" + options).code, 0);
  ASSERT_EQ(
      run("dpo -m model --data pairs.jsonl --out parts --set train.max_minutes=1e-9" + options)
          .code,
      0);
  const Result last = run("dpo --resume --out parts --set train.max_minutes=0");
  ASSERT_EQ(last.code, 0) << last.err;
  EXPECT_EQ(metrics("whole"), metrics("parts"));
}

TEST_F(TuneCli, BadInputIsNamed) {
  const Result none = run("sft -m model --out b");
  EXPECT_EQ(none.code, 2);
  EXPECT_SAYS(none.err, "--data");
  EXPECT_EQ(run("sft -m model --data chats.jsonl").code, 2);
  EXPECT_EQ(run("sft -m model --data nothing.jsonl --out b").code, 1);
  EXPECT_EQ(run("sft -m nothing --data chats.jsonl --out b").code, 1);
  write("bad.jsonl", "{\"messages\": [{\"role\": \"user\", \"content\": \"x\"}]}\n{\"messages\"\n");
  const Result bad = run("sft -m model --data bad.jsonl --out b");
  EXPECT_EQ(bad.code, 3);
  EXPECT_SAYS(bad.err, "bad.jsonl, line 1");
  EXPECT_SAYS(bad.err, "no message is of the assistant");
  EXPECT_SAYS(bad.err, "bad.jsonl, line 2");
  EXPECT_SAYS(bad.err, "--skip-bad");
  write("empty.jsonl", "");
  EXPECT_EQ(run("sft -m model --data empty.jsonl --out b").code, 3);
  EXPECT_EQ(run("dpo -m model --data chats.jsonl --out b").code, 3);
  EXPECT_EQ(run("sft -m model --data chats.jsonl --out b --epochs 0").code, 3);
  EXPECT_EQ(run("sft -m model --data chats.jsonl --out b --too-long maybe").code, 3);
  EXPECT_FALSE(fs::exists(folder_ / "b"));  // nothing is left behind
}

}  // namespace
}  // namespace nautile::test
