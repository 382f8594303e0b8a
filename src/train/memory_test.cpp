// What a recipe says it needs, against what training it takes.
#include <gtest/gtest.h>

#include "base/cpu_features.h"
#include "train/cost.h"

namespace nautile::train {
namespace {

// Rows of one document each, full, as TrainingRun tries them first.
TokenBatch full_rows(const Recipe& recipe) {
  TokenBatch batch;
  batch.starts = batch.rows = batch.documents = {0};
  const auto length = static_cast<std::int32_t>(recipe.data.options.seq_len);
  for (std::int32_t row = 0; row < recipe.slot_rows; ++row) {
    for (std::int32_t t = 0; t < length; ++t) {
      batch.tokens.push_back((t * 7 + row) % recipe.model.vocabulary);
      batch.positions.push_back(t);
      batch.targets.push_back(t + 1 < length ? 1 : kNoTarget);
      batch.targets2.push_back(t + 2 < length ? 1 : kNoTarget);
      batch.loss_weight.push_back(t + 1 < length ? 1.0f : 0.0f);
      batch.loss_weight2.push_back(t + 2 < length ? 1.0f : 0.0f);
    }
    for (auto* bounds : {&batch.starts, &batch.rows, &batch.documents})
      bounds->push_back(length * (row + 1));
  }
  return batch;
}

std::string model(int width, int layers, int experts, int vocabulary) {
  return fmt::format(
      "[model]\nvocab_size = {}\nhidden_size = {}\nnum_hidden_layers = {}\n"
      "num_attention_heads = 4\nqk_nope_head_dim = 32\nqk_rope_head_dim = 16\nv_head_dim = 32\n"
      "q_lora_rank = 96\nkv_lora_rank = 64\nintermediate_size = {}\nn_routed_experts = {}\n"
      "num_experts_per_tok = 4\nmoe_intermediate_size = {}\ninit_std = 0.02\n",
      vocabulary, width, layers, width * 11 / 4, experts, width / 2);
}

TEST(Memory, WorkingMemoryIsBoundedByTheEstimate) {
  for (const auto& [text, sets] : std::vector<std::pair<std::string, std::vector<std::string>>>{
           {model(192, 3, 16, 512), {"train.recompute=blocks"}},
           {model(192, 3, 16, 512), {"train.recompute=keep"}},
           {model(64, 2, 8, 20000), {"train.recompute=blocks"}},
           {model(128, 6, 8, 512), {"train.recompute=keep", "model.num_nextn_predict_layers=0"}},
           {model(128, 2, 8, 512), {"train.recompute=blocks", "model.first_k_dense_replace=2"}}}) {
    std::vector<std::string> all = sets;
    all.insert(all.end(), {"data.seq_len=256", "train.slot_rows=8", "train.precision=bf16"});
    const Recipe recipe = parse_recipe(text, "r.toml", all);
    const auto backend = make_cpu_backend(
        {.isa = cpu_features().best(), .threads = 2, .compute_class = ComputeClass::bf16});
    Trainer trainer(recipe.model, recipe.trainer, *backend, std::size_t{4} << 30);
    trainer.params().initialize(1, 0.02);
    trainer.refresh();
    const TokenBatch batch = full_rows(recipe);
    trainer.gradients_of({&batch, 1});
    const double estimate = training_memory(recipe).activations;
    const auto peak = static_cast<double>(trainer.scratch_peak());
    fmt::print("width {}, layers {}, {}: {:.1f} MB, estimated {:.1f} MB\n", recipe.model.width,
               recipe.model.layers, sets[0], peak / 1e6, estimate / 1e6);
    EXPECT_LE(peak, estimate);
    EXPECT_GE(peak, estimate / 2);
    EXPECT_EQ(training_memory(recipe).masters + training_memory(recipe).copies,
              static_cast<double>(trainer.params().bytes()) +
                  4.0 * static_cast<double>([&] {
                    std::size_t gains = 0;
                    for (const Param& p : trainer.params().params())
                      gains += p.is_matrix() ? 0 : p.count;
                    return gains;
                  }()));
  }
}

}  // namespace
}  // namespace nautile::train
