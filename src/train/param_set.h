// param_set.h — ParamSet: the parameters that are trained: F32 masters, and what the model
// multiplies.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "comm/comm.h"
#include "model/adapter.h"
#include "model/config.h"
#include "model/weights.h"
#include "ops/context.h"
#include "train/parallel_layout.h"

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
  std::size_t count = 0;
  int owner = 0;             // the rank that moves it
  bool owned = true;         // by this rank:
  std::size_t offset = 0;    // in masters, moments and summed gradients
  bool held = true;          // this rank multiplies by it:
  std::size_t gradient = 0;  // in gradients of slots
  bool is_matrix() const { return info.shape.rank() >= 2; }
};

// The bias of a mixture's router, which has its own rule (DeepSeek-V3 report §2.1.2).
struct RouterBias {
  int layer = 0;  // counted as the model's watch counts; MTP modules follow the last block
  Slot* slot = nullptr;
};

// Owns the bytes that the slots of `weights` point to; both live as long as the model. A
// parameter's ParamId is its place in params() plus one. Of several ranks, each has the masters of
// what it owns, and what it multiplies by.
class ParamSet {
 public:
  ParamSet(const ModelConfig& config, ModelWeights& weights, Precision precision,
           const ParallelLayout& layout = ParallelLayout());
  // Of an adapter alone, in precision f32: what is trained is what is saved.
  explicit ParamSet(Adapter& adapter);
  ParamSet(const ParamSet&) = delete;
  ParamSet& operator=(const ParamSet&) = delete;

  Precision precision() const { return precision_; }
  std::span<const Param> params() const { return params_; }
  std::span<RouterBias> router_biases() { return router_biases_; }
  const ParallelLayout& layout() const { return layout_; }
  int experts() const { return experts_; }              // of a layer
  std::size_t size() const { return masters_.size(); }  // numbers that this rank owns
  std::size_t held() const { return held_; }            // numbers that it multiplies by
  std::size_t held_by_all() const {
    return held_by_all_;
  }  // of these, all but experts'; they lie first
  std::span<float> masters() { return masters_; }
  std::span<const float> masters() const { return masters_; }
  // Empty where another rank owns it.
  std::span<float> master(const Param& p) {
    return p.owned ? masters().subspan(p.offset, p.count) : std::span<float>();
  }
  const Param* find(std::string_view canonical) const;
  std::uint64_t bytes() const;  // masters and what the model multiplies

  // Normal numbers of deviation `spread` for matrices, 1 for gains, 0 for biases. What a parameter
  // gets depends on the seed, its name and its shape.
  void initialize(std::uint64_t seed, double spread);
  // Of an adapter: A uniform in ±1/√in, as PEFT begins, and B 0, so that nothing is added at first.
  void initialize_adapter(std::uint64_t seed);
  // What the model multiplies, from the masters: of what this rank owns, and then, with publish, of
  // all that it holds. To be called after masters change.
  void refresh(Backend& backend);
  void publish(Comm& comm);

 private:
  struct Copy {
    std::vector<std::byte> data;
    std::vector<float> scales;
  };
  void add(const SlotInfo& info, Slot& slot);
  void place();
  void attach(std::size_t index);
  void allocate();
  void refresh_matrix(Backend& backend, std::size_t index);
  std::vector<std::span<std::byte>> published(std::size_t index);

  Precision precision_;
  ParallelLayout layout_;
  int experts_ = 0;
  std::size_t held_ = 0, held_by_all_ = 0;
  std::vector<Param> params_;
  std::vector<RouterBias> router_biases_;
  std::vector<float> masters_;
  std::vector<Copy> copies_;  // one per parameter
};

// Gradients of one slot, or sums of them, in one buffer.
class GradientBuffer {
 public:
  // Of all that this rank holds, or of its experts alone, for slots of other ranks.
  enum class Of : std::uint8_t { held, experts };
  GradientBuffer(const ParamSet& params, Of of)
      : first_(of == Of::held ? 0 : params.held_by_all()), data_(params.held() - first_) {}
  float* find(const Param& p) { return data_.data() + (p.gradient - first_); }
  std::span<float> data() { return data_; }
  void clear() { std::fill(data_.begin(), data_.end(), 0.0f); }

 private:
  std::size_t first_;
  std::vector<float> data_;
};

}  // namespace nautile::train
