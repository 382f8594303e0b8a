// run_testing.h — TinyRun: a small DeepSeek-V3 that trains in milliseconds, for tests of what goes
// around a Trainer.
#pragma once

#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "base/cpu_features.h"
#include "base/file.h"
#include "base/rng.h"
#include "model/family.h"
#include "train/dataset.h"
#include "train/run_folder.h"
#include "train/trainer.h"

namespace nautile::train {

// Two blocks, the second with experts, and an MTP module; wider than one FP8 block of 128, with
// partial blocks in both directions.
inline nlohmann::json tiny_v3_config() {
  return nlohmann::json::parse(R"({
    "architectures": ["DeepseekV3ForCausalLM"], "model_type": "deepseek_v3",
    "attention_bias": false, "bos_token_id": 0, "eos_token_id": 1, "first_k_dense_replace": 1,
    "hidden_act": "silu", "hidden_size": 160, "initializer_range": 0.02, "intermediate_size": 208,
    "kv_lora_rank": 40, "max_position_embeddings": 64, "moe_intermediate_size": 56,
    "moe_layer_freq": 1, "n_group": 2, "n_routed_experts": 8, "n_shared_experts": 1,
    "norm_topk_prob": true, "num_attention_heads": 4, "num_experts_per_tok": 2,
    "num_hidden_layers": 2, "num_key_value_heads": 4, "num_nextn_predict_layers": 1,
    "q_lora_rank": 48, "qk_nope_head_dim": 24, "qk_rope_head_dim": 16, "rms_norm_eps": 1e-06,
    "rope_scaling": null, "rope_theta": 10000, "routed_scaling_factor": 2.5,
    "scoring_func": "sigmoid", "tie_word_embeddings": false, "topk_group": 1,
    "topk_method": "noaux_tc", "torch_dtype": "bfloat16", "use_cache": true, "v_head_dim": 32,
    "vocab_size": 200})");
}

// A folder that goes with the object.
class TemporaryFolder {
 public:
  explicit TemporaryFolder(const std::string& name)
      : path_((std::filesystem::temp_directory_path() /
               fmt::format("nautile_{}_{}", name, ::getpid()))
                  .string()) {
    std::filesystem::remove_all(path_);
    std::filesystem::create_directories(path_);
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  const std::string& path() const { return path_; }
  std::string file(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

// Documents that count upwards from a random token, in one shard.
inline DataFolder make_tiny_data(const std::string& folder) {
  std::filesystem::create_directories(folder);
  constexpr Vocabulary kVocabulary = {42, 200};
  ShardWriter writer(folder + "/counting", kVocabulary);
  for (std::uint64_t i = 0; i < 200; ++i) {
    const auto random = philox(7, i, 1);
    std::vector<std::int32_t> tokens(4 + random[0] % 40);
    for (std::size_t k = 0; k < tokens.size(); ++k)
      tokens[k] = static_cast<std::int32_t>(2 + (random[1] + k * (1 + random[2] % 3)) % 190);
    writer.add(tokens, static_cast<std::uint32_t>(tokens.size()), DocumentKind::text);
  }
  writer.finish();
  DataFolder data;
  data.path = folder;
  data.vocabulary = kVocabulary;
  data.sources.resize(1);
  data.sources[0].name = "counting";
  data.sources[0].train.emplace_back(folder + "/counting");
  return data;
}

inline TrainerConfig tiny_trainer_config() {
  TrainerConfig c;
  c.schedule = deepseek_v3_schedule(3e-3, 4, 3000);
  c.schedule.balance_alpha = {{1, 0.01}};
  c.ema_decay = 0.9;
  return c;
}

// A run on data of its own, step by step; all of it follows from the configuration and the seeds.
class TinyRun {
 public:
  static constexpr std::uint64_t kModelSeed = 3, kDataSeed = 5;

  // `data` outlives the run. FP8 weights are multiplied in class fp8dyn, as they are to be served.
  TinyRun(const TrainerConfig& train, int threads, const DataFolder& data,
          const nlohmann::json& model = tiny_v3_config(), Comm* comm = nullptr)
      : backend(make_cpu_backend(
            {.isa = cpu_features().best(),
             .threads = threads,
             .compute_class = train.precision == Precision::fp8    ? ComputeClass::fp8dyn
                              : train.precision == Precision::bf16 ? ComputeClass::bf16
                                                                   : ComputeClass::f32})),
        config(family_of_hf("deepseek_v3").from_hf(model)),
        trainer(config, train, *backend, std::size_t{64} << 20, comm),
        dataset(data, dataset_options()) {
    trainer.params().initialize(kModelSeed, 0.05);
    trainer.refresh();
  }

  // One, two, … `most` slots in turns, as a growing batch has them.
  StepReport step(std::int64_t most = 3) {
    const std::int64_t count = 1 + trainer.step_count() % most;
    next_slot += count;
    return trainer.step(slots(next_slot - count, count));
  }
  std::vector<TokenBatch> slots(std::int64_t first, std::int64_t count) const {
    std::vector<TokenBatch> list;
    for (std::int64_t i = first; i < first + count; ++i) list.push_back(dataset.slot(i));
    return list;
  }

  RunState state() const {
    RunState s;
    s.next_slot = next_slot;
    s.model_seed = kModelSeed;
    s.data_seed = kDataSeed;
    s.program_version = "test";
    s.recipe = "# a test's\n";
    s.model_config = tiny_v3_config().dump();
    return s;
  }
  void go_on_from(const SavedStep& saved) {
    saved.load_into(trainer);
    next_slot = saved.state().next_slot;
  }

  // All bits that the next step depends on.
  std::string bits() {
    std::string all;
    const auto put = [&all](const void* data, std::size_t size) {
      all.append(static_cast<const char*>(data), size);
    };
    put(trainer.params().masters().data(), trainer.params().size() * sizeof(float));
    for (const RouterBias& bias : trainer.params().router_biases())
      put(bias.slot->values.data(), bias.slot->values.size() * sizeof(float));
    for (const OptimizerState& part : trainer.optimizer().state())
      put(part.bytes.data(), part.bytes.size());
    put(trainer.ema().data(), trainer.ema().size() * sizeof(float));
    const std::int64_t step = trainer.step_count();
    const double tokens = trainer.tokens_seen();
    put(&step, sizeof step);
    put(&tokens, sizeof tokens);
    put(&next_slot, sizeof next_slot);
    return all;
  }

  std::unique_ptr<Backend> backend;
  ModelConfig config;
  Trainer trainer;
  Dataset dataset;
  std::int64_t next_slot = 0;

 private:
  static DatasetOptions dataset_options() {
    DatasetOptions options;
    options.seed = kDataSeed;
    options.seq_len = 32;
    options.slot_rows = 2;
    options.bos = 0;
    options.eos = 1;
    return options;
  }
};

}  // namespace nautile::train
