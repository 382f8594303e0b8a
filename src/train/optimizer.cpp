#include "train/optimizer.h"

#include <cmath>

#include "base/bf16.h"
#include "train/muon.h"

namespace nautile::train {
namespace {

AdamWStep adamw_step(const OptimizerConfig& c, double scale, double rate, std::int64_t step,
                     bool decays) {
  AdamWStep s;
  s.rate = static_cast<float>(rate);
  s.beta1 = static_cast<float>(c.beta1);
  s.beta2 = static_cast<float>(c.beta2);
  s.epsilon = static_cast<float>(c.epsilon);
  s.decay = decays ? static_cast<float>(c.decay) : 0.0f;
  s.grad_scale = static_cast<float>(scale);
  s.correction1 = static_cast<float>(1 - std::pow(c.beta1, static_cast<double>(step)));
  s.correction2 = static_cast<float>(1 - std::pow(c.beta2, static_cast<double>(step)));
  return s;
}

template <class T>
OptimizerState named(const char* name, std::vector<T>& values) {
  return {name, sizeof(T) == 2 ? "BF16" : "F32", std::as_writable_bytes(std::span(values))};
}

// Moments of one format for all parameters.
template <class T>
class AdamW final : public Optimizer {
 public:
  AdamW(const OptimizerConfig& config, const ParamSet& params)
      : config_(config), m_(params.size()), v_(params.size()) {}

  void step(Backend& backend, ParamSet& params, std::span<const float> gradients, double scale,
            double rate, std::int64_t step) override {
    for (const Param& p : params.params()) {
      if (!p.owned) continue;
      if (config_.kind == OptimizerConfig::Kind::muon && moves_by_muon(p)) continue;
      backend.gradients().adamw(adamw_step(config_, scale, rate, step, p.is_matrix()),
                                static_cast<std::int64_t>(p.count), gradients.data() + p.offset,
                                params.master(p).data(), m_.data() + p.offset,
                                v_.data() + p.offset);
    }
    if (config_.kind == OptimizerConfig::Kind::muon)
      muon_.step(backend, params, gradients, scale, rate, config_, m_);
  }

  std::vector<OptimizerState> state() override { return {named("m", m_), named("v", v_)}; }

 private:
  OptimizerConfig config_;
  std::vector<T> m_, v_;  // Muon's momentum lies in m_
  Muon muon_;
};

}  // namespace

std::unique_ptr<Optimizer> make_optimizer(const OptimizerConfig& config, const ParamSet& params) {
  if (config.moments == MomentFormat::f32) return std::make_unique<AdamW<float>>(config, params);
  return std::make_unique<AdamW<bf16>>(config, params);
}

}  // namespace nautile::train
