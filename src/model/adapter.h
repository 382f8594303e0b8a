// adapter.h — Adapter: low-rank additions to the weights of a model (LoRA), listed like the
// weights.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "model/weights.h"

namespace nautile {

// Which weights may have one: matrices of the main model's blocks, but for routers and MLA's kv_up,
// which the absorbed form of attention takes apart.
enum class AdapterTarget : std::uint8_t {
  attention,
  experts,  // routed ones
  ffn,      // dense and shared
};

struct LoraConfig {
  int rank = 0;      // 0: no adapter
  double alpha = 0;  // what is added counts alpha / rank times
  // By the root: rank-stabilized, alpha / √rank (Kalajdzievski 2023).
  enum class Scaling : std::uint8_t { by_rank, by_root } scaling = Scaling::by_rank;
  std::vector<AdapterTarget> targets;

  float scale() const;
};

// Owns A and B of every weight that has them, and their bytes unless a ParamSet does. What points
// to it (attach) must not outlive it; it stays where it is.
class Adapter {
 public:
  explicit Adapter(const LoraConfig& config) : config_(config) {}
  // An entry for each weight of the targets; their numbers are the ParamSet's.
  Adapter(const ModelConfig& model, const LoraConfig& config);
  Adapter(const Adapter&) = delete;
  Adapter& operator=(const Adapter&) = delete;

  struct Entry {
    std::string name;  // canonical, of the weight
    Slot a, b;         // [r, in], [out, r]; F32
    std::int64_t in = 0, out = 0;
    LowRank low;
  };
  const LoraConfig& config() const { return config_; }
  const std::vector<std::unique_ptr<Entry>>& entries() const { return entries_; }
  std::size_t parameters() const;

  // An entry with numbers of its own, all 0.
  Entry& add(const std::string& name, const Shape& shape);
  // "layers.0.attention.query.lora_a" and ".lora_b" of each entry, role matrix.
  void visit(const Visitor& f);
  // Lets the weights of the same names point here. Throws Error(bad_input) naming all that are
  // missing or of other shapes.
  void attach(const ModelConfig& model, ModelWeights& weights) const;

 private:
  Entry& make(const std::string& name, const Shape& shape);

  LoraConfig config_;
  std::vector<std::unique_ptr<Entry>> entries_;
};

// The target group of a weight; none if it cannot have an adapter. `layers`: of the main model.
std::optional<AdapterTarget> adapter_target(const SlotInfo& info, int layers);

// weight + scale·B·A, in F32, added to `values` [out·in]; every sum runs over r ascending.
void add_low_rank(const Adapter::Entry& entry, std::span<float> values);

}  // namespace nautile
