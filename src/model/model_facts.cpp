#include "model/model_facts.h"

#include <string_view>

#include "model/weights.h"

namespace nautile {
namespace {

bool is_expert(std::string_view name) {
  return name.find(".experts.") != name.npos;
}

// key_up and value_up are kv_up in another form.
bool is_twin(const SlotInfo& info) {
  return info.name.ends_with(".key_up") || info.name.ends_with(".value_up");
}

double attention_flops(const AttentionConfig& a) {
  if (a.kind == AttentionKind::mla) {
    return 2.0 * a.heads * ((a.kv_rank + a.rope_dims) + a.kv_rank);
  }
  return 2.0 * a.heads * (a.key_dims() + a.value_dims);
}

}  // namespace

ModelFacts facts_of(const ModelConfig& config) {
  ModelFacts facts;
  ModelWeights weights(config);
  const double chosen =
      config.moe.route.experts > 0
          ? static_cast<double>(config.moe.route.chosen) / config.moe.route.experts
          : 1;
  double active = 0;
  bool in_mtp = false;
  const std::string first_module = "layers." + std::to_string(config.layers) + ".";
  weights.visit(config, [&](const SlotInfo& info, Slot&) {
    if (is_twin(info)) return;
    const auto count = static_cast<std::uint64_t>(info.shape.elements());
    // Modules come last in the list.
    in_mtp = in_mtp || info.name.starts_with(first_module);
    const double share = is_expert(info.name) ? chosen : 1;
    if (in_mtp) {
      facts.mtp_parameters += count;
      if (info.role == Role::matrix || info.role == Role::router) {
        facts.mtp_flops_per_token += 2 * share * static_cast<double>(count);
      }
      return;
    }
    facts.parameters += count;
    if (info.role == Role::embedding) {
      // One row is looked up; a tied table is read whole as the head.
      if (config.head == ModelConfig::Head::own) {
        active += config.width;
      } else {
        active += static_cast<double>(count);
        facts.head_flops = 2.0 * static_cast<double>(count);
      }
      return;
    }
    active += share * static_cast<double>(count);
    if (info.role == Role::matrix || info.role == Role::head || info.role == Role::router) {
      facts.flops_per_token += 2 * share * static_cast<double>(count);
    }
    if (info.role == Role::head) facts.head_flops = 2.0 * static_cast<double>(count);
  });
  facts.active_parameters = static_cast<std::uint64_t>(active + 0.5);
  if (config.head == ModelConfig::Head::tied) facts.flops_per_token += facts.head_flops;
  const AttentionConfig& a = config.attention;
  facts.flops_per_past_token = config.layers * attention_flops(a);
  const double pair = 2.0 * a.heads * (a.key_dims() + a.value_dims);
  facts.prefill_flops_per_pair = config.layers * pair;
  if (config.mtp_layers > 0) {
    facts.mtp_flops_per_token /= config.mtp_layers;
    facts.mtp_flops_per_token += facts.head_flops;
    facts.mtp_flops_per_pair = pair;
  }
  return facts;
}

}  // namespace nautile
