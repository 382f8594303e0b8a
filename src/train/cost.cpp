#include "train/cost.h"

#include <algorithm>
#include <cmath>

#include "model/model_facts.h"
#include "model/weights.h"

namespace nautile::train {
namespace {

constexpr double kForwardAndBack = 3;

double pairs(double n) {
  return n * (n + 1) / 2;
}

// Floats that one block computes for a row, on the way forward.
double block_floats(const ModelConfig& c, bool is_moe, int expert_ranks) {
  const AttentionConfig& a = c.attention;
  const double H = a.heads, D = c.width;
  double attention = H * (2.0 * a.key_dims() + 2.0 * a.value_dims) + H;
  if (a.kind == AttentionKind::mla) {
    attention = 2.0 * a.query_rank + H * a.key_dims() + 4.0 * a.cached_values() +
                H * (a.plain_dims + 2.0 * a.value_dims) + H;
  }
  double ffn = 3.0 * c.ffn_width + D;
  if (is_moe) {
    const double K = c.moe.route.chosen;
    // In the worst case all tokens of all ranks choose the experts of one.
    const double rows = K * expert_ranks;
    ffn = 2.0 * c.moe.route.experts + 2 * K + rows * (2 * D + 3.0 * c.moe.width) +
          3.0 * c.moe.shared_width + D;
    if (expert_ranks > 1) ffn += 2 * K * D;
  }
  return 5 * D + attention + ffn;
}

// Rows of logits that ops::log_prob holds at a time.
double head_floats(const ModelConfig& c) {
  const double rows = std::clamp(4194304.0 / c.vocabulary, 16.0, 1024.0);
  return rows * c.vocabulary;
}

// Floats that the adapters of one block compute for a row: what they add, that scaled and the sum,
// and the inner product. The widest block's.
double adapter_floats(const Recipe& recipe) {
  if (recipe.lora.rank == 0) return 0;
  const RouteRule& route = recipe.model.moe.route;
  const Adapter adapter(recipe.model, recipe.lora);
  std::vector<double> blocks(static_cast<std::size_t>(recipe.model.layers));
  for (const auto& entry : adapter.entries()) {
    const bool routed = entry->name.find(".experts.") != entry->name.npos;
    const double rows = routed ? static_cast<double>(route.chosen) / route.experts : 1;
    const int layer = std::atoi(entry->name.c_str() + std::string_view("layers.").size());
    blocks[static_cast<std::size_t>(layer)] +=
        rows * static_cast<double>(3 * entry->out + recipe.lora.rank);
  }
  return *std::max_element(blocks.begin(), blocks.end());
}

double activation_floats(const Recipe& recipe) {
  const ModelConfig& c = recipe.model;
  const double T = recipe.slot_tokens(), D = c.width;
  const double adapters = adapter_floats(recipe);
  double widest = 0, all = 0;
  for (int layer = 0; layer < c.layers + c.mtp_layers; ++layer) {
    const bool moe = layer < c.layers ? bool(c.is_moe[static_cast<std::size_t>(layer)])
                                      : c.moe.route.experts > 0;
    const double floats =
        block_floats(c, moe, recipe.trainer.expert_ranks) + (layer < c.layers ? adapters : 0);
    widest = std::max(widest, floats);
    all += floats;
  }
  // Beside the blocks: embedding, the norm before the head, and what a module joins (6·D).
  const double around = (4 + 10.0 * c.mtp_layers) * T * D + 8 * T + head_floats(c);
  const double inputs = (c.layers + c.mtp_layers + 1) * T * D;
  // Gradients of a block are as large as its values; they are made block by block, in buffers that
  // serve again only for values of the same size.
  if (recipe.trainer.keep == Keep::everything) return T * (all + 1.5 * widest) + inputs + around;
  return 2 * T * widest + inputs + around;
}

}  // namespace

double TrainingFlops::of(const TokenBatch& batch, Mtp mtp) const {
  double sum = per_token * static_cast<double>(batch.size());
  for (std::size_t s = 0; s + 1 < batch.starts.size(); ++s) {
    const double n = batch.starts[s + 1] - batch.starts[s];
    sum += per_pair * pairs(n);
    if (mtp == Mtp::on && n > 1) sum += mtp_per_token * (n - 1) + mtp_per_pair * pairs(n - 1);
  }
  return sum;
}

double TrainingFlops::mean_per_token(double span, Mtp mtp) const {
  double sum = per_token + per_pair * (span + 1) / 2;
  if (mtp == Mtp::on)
    sum += mtp_per_token * (span - 1) / span + mtp_per_pair * pairs(span - 1) / span;
  return sum;
}

TrainingFlops training_flops(const ModelConfig& config) {
  const ModelFacts facts = facts_of(config);
  return {kForwardAndBack * facts.flops_per_token, kForwardAndBack * facts.prefill_flops_per_pair,
          kForwardAndBack * facts.mtp_flops_per_token, kForwardAndBack * facts.mtp_flops_per_pair};
}

int gradient_buffers(std::int64_t slots) {
  int levels = 1;
  for (std::int64_t n = slots; n > 1; n /= 2) ++levels;
  return levels;
}

TrainingMemory training_memory(const Recipe& recipe, int ranks) {
  const int expert_ranks = recipe.trainer.expert_ranks, experts = recipe.model.moe.route.experts;
  const ParallelLayout layout(std::max(ranks, expert_ranks), 0, expert_ranks);
  std::vector<SlotInfo> infos;
  const bool adapts = recipe.lora.rank > 0;
  if (adapts) {
    Adapter(recipe.model, recipe.lora).visit([&](const SlotInfo& info, Slot&) {
      infos.push_back(info);
    });
  } else {
    ModelWeights weights(recipe.model);
    weights.visit(recipe.model, [&](const SlotInfo& info, Slot&) {
      if (is_trained(info)) infos.push_back(info);
    });
  }
  const std::vector<int> owners = layout.owners(infos, experts);
  TrainingMemory m;
  double all = 0, owned = 0, held = 0, held_experts = 0;
  for (std::size_t i = 0; i < infos.size(); ++i) {
    const SlotInfo& info = infos[i];
    const auto n = static_cast<double>(info.shape.elements());
    const bool owns = owners[i] == 0;
    all += n;
    if (owns) owned += n;
    if (!layout.has(0, info, experts)) continue;
    held += n;
    if (info.expert >= 0) held_experts += n;
    Weight w;
    w.shape = info.shape;
    w.format = trained_format(adapts ? Precision::f32 : recipe.trainer.precision, info);
    // The masters themselves, where they are here.
    if (w.format == Format::f32 && info.shape.rank() >= 2 && owns) continue;
    if (w.format == Format::f8_e4m3) w.scale_format = ScaleFormat::f32;
    m.copies += info.shape.rank() < 2 ? 4 * n : static_cast<double>(w.bytes() + w.scale_bytes());
  }
  const double moment_bytes = recipe.trainer.optimizer.moments == MomentFormat::bf16 ? 4 : 8,
               mean_bytes = recipe.trainer.ema_decay > 0 ? 4 : 0;
  m.masters = 4 * owned;
  m.tree_levels = gradient_buffers(layout.most_slots(recipe.slots));
  m.gradients = 4 * (held + (expert_ranks - 1) * held_experts) * m.tree_levels;
  if (layout.ranks() > 1) m.gradients += 4 * owned;
  m.moments = moment_bytes * owned;
  m.mean = mean_bytes * owned;
  m.activations = 4 * activation_floats(recipe);
  m.saving = (4 + moment_bytes + mean_bytes) * all;
  return m;
}

RunCost run_cost(const Recipe& recipe, double span, double peak_flops) {
  RunCost cost;
  const ScheduleConfig& schedule = recipe.trainer.schedule;
  const TrainingFlops flops = training_flops(recipe.model);
  // λ decides how much of the run trains the module.
  double before = 0;
  for (const StepValue& value : schedule.mtp_lambda) {
    const double until = std::min(value.until_tokens, recipe.tokens);
    const bool on = value.value > 0 && recipe.model.mtp_layers > 0;
    cost.flops += std::max(0.0, until - before) *
                  flops.mean_per_token(span, on ? TrainingFlops::Mtp::on : TrainingFlops::Mtp::off);
    before = std::max(before, until);
  }
  const bool last_on = !schedule.mtp_lambda.empty() && schedule.mtp_lambda.back().value > 0 &&
                       recipe.model.mtp_layers > 0;
  cost.flops +=
      (recipe.tokens - before) *
      flops.mean_per_token(span, last_on ? TrainingFlops::Mtp::on : TrainingFlops::Mtp::off);
  // While the batch grows linearly in tokens, d(steps) = d(tokens) / batch.
  const double ramp = std::min(schedule.batch_ramp_tokens, recipe.tokens);
  const double from = schedule.batch_from, to = schedule.batch_to;
  cost.steps = (recipe.tokens - ramp) / to;
  if (ramp > 0) cost.steps += from < to ? ramp / (to - from) * std::log(to / from) : ramp / to;
  if (recipe.cost.device_hours_per_trillion_tokens > 0) {
    cost.device_hours = recipe.cost.device_hours_per_trillion_tokens * recipe.tokens / 1e12;
    if (peak_flops > 0) cost.mfu = cost.flops / (cost.device_hours * 3600 * peak_flops);
  } else if (peak_flops > 0) {
    cost.mfu = recipe.cost.mfu;
    cost.device_hours = cost.flops / (peak_flops * cost.mfu) / 3600;
  }
  cost.hours = cost.device_hours / recipe.cost.devices;
  cost.dollars = cost.device_hours * recipe.cost.dollars_per_hour;
  return cost;
}

}  // namespace nautile::train
