#include "model/loader.h"

#include <cstring>
#include <map>

#include "base/bf16.h"
#include "model/family.h"
#include "store/weight_claims.h"

namespace nautile {
namespace {

constexpr std::string_view kExperts = ".experts.";

// Reads gains and biases as F32; they are small and the ops take them so.
std::vector<float> floats_of(const Weight& weight) {
  std::vector<float> values(static_cast<std::size_t>(weight.shape.elements()));
  for (std::size_t i = 0; i < values.size(); ++i) {
    std::uint16_t half;
    switch (weight.format) {
      case Format::f32:
        std::memcpy(&values[i], weight.data + 4 * i, 4);
        break;
      case Format::f16:
        std::memcpy(&half, weight.data + 2 * i, 2);
        values[i] = half_to_float(half);
        break;
      case Format::bf16:
        std::memcpy(&half, weight.data + 2 * i, 2);
        values[i] = to_float(bf16{half});
        break;
      default:
        fail(ErrorKind::unsupported, "{} is {}: expected F32, F16 or BF16", weight.name,
             info(weight.format).name);
    }
  }
  return values;
}

bool is_vector(Role role) {
  return role == Role::norm || role == Role::bias || role == Role::router_bias;
}

// One pass over the model's list, against one store.
class Loading {
 public:
  Loading(store::WeightStore& store, const ModelConfig& config,
          const Checkpoint::Progress& progress)
      : store_(store),
        config_(config),
        claims_(store),
        progress_(progress),
        family_(store.is_gguf() ? &family_of_gguf(store.gguf().architecture()) : nullptr) {}

  ModelWeights run() {
    ModelWeights weights(config_);
    std::size_t all = 0, done = 0;
    weights.visit(config_, [&](const SlotInfo&, Slot&) { ++all; });
    weights.visit(config_, [&](const SlotInfo& info, Slot& slot) {
      take(info, slot);
      if (progress_) progress_(++done, all);
    });
    ignore_known();
    claims_.finish();
    return weights;
  }

 private:
  void take(const SlotInfo& info, Slot& slot) {
    if (store_.is_gguf() && info.name.find(kExperts) != std::string::npos)
      return take_from_stack(info, slot);
    const auto name = store_.is_gguf() ? family_->gguf_name(info.name) : hf_tensor_name(info.name);
    if (!name) {
      NAUTILE_ASSERT(info.need == SlotInfo::Need::optional, "{} has no name in this kind of file",
                     info.name);
      return;
    }
    if (info.need == SlotInfo::Need::optional) return take_mla_up(info, *name, slot);
    take_named(info, *name, slot);
  }

  void take_named(const SlotInfo& info, const std::string& name, Slot& slot) {
    slot.weight = claims_.take(name, info.shape, info.name);
    if (config_.f8_scales == ModelConfig::F8Scales::powers_of_two &&
        slot.weight.scale_format == ScaleFormat::f32) {
      slot.weight.scale_format = ScaleFormat::f32_powers;
    }
    if (slot.present() && is_vector(info.role)) slot.values = floats_of(slot.weight);
  }

  // kv_up, or key_up and value_up: files of ik_llama.cpp have both forms, and then the first is
  // taken.
  void take_mla_up(const SlotInfo& info, const std::string& name, Slot& slot) {
    const std::string prefix = info.name.substr(0, info.name.rfind('.') + 1);
    const auto whole =
        store_.is_gguf() ? family_->gguf_name(prefix + "kv_up") : hf_tensor_name(prefix + "kv_up");
    const bool has_whole = store_.has(*whole);
    const bool is_whole = info.name.ends_with("kv_up");
    const bool split_exists =
        store_.is_gguf() && store_.has(*family_->gguf_name(prefix + "key_up"));
    if (is_whole ? (has_whole || !split_exists) : (!has_whole && split_exists)) {
      take_named(info, name, slot);
    } else {
      claims_.ignore(name);
    }
  }

  // llama.cpp stacks experts: blk.N.ffn_gate_exps.weight [E, F, D].
  void take_from_stack(const SlotInfo& info, Slot& slot) {
    const std::size_t at = info.name.find(kExperts), number = at + kExperts.size();
    const std::size_t dot = info.name.find('.', number);
    const int expert = std::stoi(info.name.substr(number, dot - number));
    const std::string stack =
        fmt::format("{}{}", info.name.substr(0, number - 1), info.name.substr(dot));
    auto found = stacks_.find(stack);
    if (found == stacks_.end()) {
      const Shape shape{config_.moe.route.experts, info.shape[0], info.shape[1]};
      found = stacks_.emplace(stack, claims_.take(*family_->gguf_name(stack), shape, stack)).first;
    }
    if (!found->second.present()) return;
    slot.weight = found->second;
    slot.weight.name = info.name;
    slot.weight.shape = info.shape;
    slot.weight.data += static_cast<std::size_t>(expert) * slot.weight.bytes();
  }

  // Tensors that a checkpoint may carry and the model does not need.
  void ignore_known() {
    const std::string beyond = fmt::format("model.layers.{}.", config_.layers);
    claims_.ignore_if([&](std::string_view name) {
      if (store_.is_gguf())
        return name == "rope_freqs.weight" || name.find(".nextn.embed_tokens") != name.npos ||
               name.find(".nextn.shared_head_head") != name.npos;
      if (name.ends_with("rotary_emb.inv_freq")) return true;
      if (name == "lm_head.weight") return config_.head == ModelConfig::Head::tied;
      // The MTP module repeats the embedding and the head; without modules the layer is left out
      // whole.
      return name.starts_with(beyond) &&
             (config_.mtp_layers == 0 || name.ends_with(".embed_tokens.weight") ||
              name.ends_with(".shared_head.head.weight"));
    });
  }

  store::WeightStore& store_;
  const ModelConfig& config_;
  store::WeightClaims claims_;
  const Checkpoint::Progress& progress_;
  const Family* family_;
  std::map<std::string, Weight> stacks_;
};

ModelConfig config_of_gguf(const store::WeightStore& store) {
  const store::GgufFile& file = store.gguf();
  ModelConfig config = family_of_gguf(file.architecture()).from_gguf(file);
  if (const store::TensorRecord* table = store.find("token_embd.weight");
      table && table->shape.rank() == 2 && config.vocabulary == 0) {
    config.vocabulary = static_cast<int>(std::min<std::int64_t>(table->shape[0], 1 << 26));
  }
  config.head = store.has("output.weight") ? ModelConfig::Head::own : ModelConfig::Head::tied;
  // block_count includes the prediction modules where the file has them.
  const int modules = static_cast<int>(std::min<std::uint32_t>(
      file.optional_u32(file.architecture() + ".nextn_predict_layers").value_or(0), 16));
  if (modules > 0 && modules < config.layers &&
      store.has(fmt::format("blk.{}.nextn.eh_proj.weight", config.layers - 1))) {
    config.layers -= modules;
    config.is_moe.resize(static_cast<std::size_t>(config.layers));
    config.mtp_layers = modules;
  }
  if (const store::TensorRecord* divisors = store.find("rope_freqs.weight");
      divisors && divisors->format == Format::f32) {
    Weight view{.name = divisors->name, .shape = divisors->shape, .format = Format::f32};
    view.data = divisors->data.data();
    NAUTILE_CHECK(view.shape.elements() <= 65536, "rope_freqs.weight is {}", view.shape);
    config.rope.divisors = floats_of(view);
  }
  return config;
}

ModelConfig config_of_folder(const store::WeightStore& store) {
  const std::optional<store::HfFolder> folder = store.folder();
  NAUTILE_CHECK(folder && folder->has("config.json"), "{} has no config.json beside its weights",
                store.path());
  const nlohmann::json json = folder->json("config.json");
  const auto type = json.is_object() ? json.find("model_type") : json.end();
  NAUTILE_CHECK(type != json.end() && type->is_string(), "{}: model_type is missing",
                folder->file("config.json"));
  ModelConfig config = family_of_hf(type->get<std::string>()).from_hf(json);
  // Trimmed checkpoints keep num_nextn_predict_layers and drop the module.
  if (!store.has(fmt::format("model.layers.{}.enorm.weight", config.layers))) config.mtp_layers = 0;
  return config;
}

}  // namespace

Checkpoint Checkpoint::open(const std::string& path) {
  Checkpoint checkpoint;
  checkpoint.store_ = std::make_unique<store::WeightStore>(store::WeightStore::open(path));
  try {
    checkpoint.config_ = checkpoint.store_->is_gguf() ? config_of_gguf(*checkpoint.store_)
                                                      : config_of_folder(*checkpoint.store_);
    checkpoint.config_.validate();
  } catch (const Error& error) {
    throw error.with("while reading the configuration of {}", path);
  }
  return checkpoint;
}

ModelWeights Checkpoint::weights(const Progress& progress) {
  return Loading(*store_, config_, progress).run();
}

}  // namespace nautile
