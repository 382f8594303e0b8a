// param_set.h — ParamSet: the parameters that are trained: F32 masters, and what the model
// multiplies.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "model/config.h"
#include "model/weights.h"
#include "ops/context.h"

namespace nautile::train {

// What the model computes with; masters and gradients are F32 in all of them.
enum class Precision : std::uint8_t {
  f32,   // the masters themselves
  bf16,  // matrices and gains rounded to BF16
  fp8,   // as bf16, and the matrices of attention and feed-forward in E4M3 with 128×128 scales
};

// Whether a weight of the list is a parameter: not MLA's split form (kv_up is trained), nor a
// router's bias.
bool is_trained(const SlotInfo& info);
// What the model multiplies. High precision stays where DeepSeek-V3 keeps it (report §3.3.1 and the
// released files): embedding, head, router, the join of an MTP module; and what has one dimension.
Format trained_format(Precision precision, const SlotInfo& info);

struct Param {
  SlotInfo info;
  Slot* slot = nullptr;
  std::size_t offset = 0, count = 0;  // in masters, gradients and moments
  bool is_matrix() const { return info.shape.rank() >= 2; }
};

// The bias of a mixture's router, which has its own rule (DeepSeek-V3 report §2.1.2).
struct RouterBias {
  int layer = 0;  // counted as the model's watch counts; MTP modules follow the last block
  Slot* slot = nullptr;
};

// Owns the bytes that the slots of `weights` point to; both live as long as the model. A
// parameter's ParamId is its place in params() plus one.
class ParamSet {
 public:
  ParamSet(const ModelConfig& config, ModelWeights& weights, Precision precision);
  ParamSet(const ParamSet&) = delete;
  ParamSet& operator=(const ParamSet&) = delete;

  Precision precision() const { return precision_; }
  std::span<const Param> params() const { return params_; }
  std::span<RouterBias> router_biases() { return router_biases_; }
  std::size_t size() const { return masters_.size(); }  // numbers that are trained
  std::span<float> masters() { return masters_; }
  std::span<const float> masters() const { return masters_; }
  std::span<float> master(const Param& p) { return masters().subspan(p.offset, p.count); }
  const Param* find(std::string_view canonical) const;
  std::uint64_t bytes() const;  // masters and what the model multiplies

  // Normal numbers of deviation `spread` for matrices, 1 for gains, 0 for biases. What a parameter
  // gets depends on the seed, its name and its shape.
  void initialize(std::uint64_t seed, double spread);
  // What the model multiplies, from the masters. To be called after they change.
  void refresh(Backend& backend);

 private:
  struct Copy {
    std::vector<std::byte> data;
    std::vector<float> scales;
  };
  void add(const SlotInfo& info, Slot& slot);
  void refresh_matrix(Backend& backend, std::size_t index);

  Precision precision_;
  std::vector<Param> params_;
  std::vector<RouterBias> router_biases_;
  std::vector<float> masters_;
  std::vector<Copy> copies_;  // one per parameter
};

// Gradients of all parameters in one buffer.
class GradientBuffer final : public ParamGradients {
 public:
  explicit GradientBuffer(const ParamSet& params) : params_(params), data_(params.size()) {}
  float* find(ParamId param) override { return data_.data() + params_.params()[param - 1].offset; }
  std::span<float> data() { return data_; }
  void clear() { std::fill(data_.begin(), data_.end(), 0.0f); }

 private:
  const ParamSet& params_;
  std::vector<float> data_;
};

}  // namespace nautile::train
