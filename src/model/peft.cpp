#include "model/peft.h"

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <set>

#include "base/bf16.h"
#include "base/file.h"
#include "base/json.h"
#include "model/family.h"
#include "store/safetensors_writer.h"
#include "store/weight_claims.h"

namespace nautile {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

constexpr std::string_view kPrefix = "base_model.model.";
constexpr std::string_view kWeight = ".weight";
constexpr std::size_t kMostConfig = std::size_t{16} << 20;

// "base_model.model.model.layers.0.self_attn.q_proj"; none for a weight without a name there.
std::string module_name(const std::string& canonical) {
  const std::string name = *hf_tensor_name(canonical);
  return std::string(kPrefix) + name.substr(0, name.size() - kWeight.size());
}

bool is_set(const Json& config, const char* key) {
  const auto at = config.find(key);
  if (at == config.end() || at->is_null()) return false;
  if (at->is_boolean()) return at->get<bool>();
  return !at->empty();
}

// What PEFT can do to a linear beside A and B; nautile computes none of it.
void refuse_others(const Json& config, const std::string& path) {
  const std::string type = config.value("peft_type", "");
  if (type != "LORA")
    fail(ErrorKind::unsupported, "{}: peft_type is '{}' (nautile knows LORA)", path, type);
  for (const char* key :
       {"use_dora", "fan_in_fan_out", "lora_bias", "rank_pattern", "alpha_pattern",
        "modules_to_save", "target_parameters", "layer_replication", "trainable_token_indices"}) {
    if (is_set(config, key))
      fail(ErrorKind::unsupported, "{}: {} is {}, which nautile does not compute", path, key,
           config[key].dump());
  }
  const auto bias = config.find("bias");
  if (bias != config.end() && *bias != "none")
    fail(ErrorKind::unsupported, "{}: bias is {} (nautile knows \"none\")", path, bias->dump());
}

LoraConfig read_config(const std::string& path) {
  const Json config = parse_ordered_json(read_file(path, kMostConfig), path);
  NAUTILE_CHECK(config.is_object(), "{}: expected an object", path);
  refuse_others(config, path);
  const auto rank = config.find("r"), alpha = config.find("lora_alpha");
  NAUTILE_CHECK(rank != config.end() && rank->is_number_integer() && *rank >= 1 && *rank <= 65536,
                "{}: expected r to be a rank of 1 to 65536, found {}", path,
                rank == config.end() ? "nothing" : rank->dump());
  NAUTILE_CHECK(alpha != config.end() && alpha->is_number(),
                "{}: expected lora_alpha to be a number, found {}", path,
                alpha == config.end() ? "nothing" : alpha->dump());
  LoraConfig lora;
  lora.rank = rank->get<int>();
  lora.alpha = alpha->get<double>();
  if (is_set(config, "use_rslora")) lora.scaling = LoraConfig::Scaling::by_root;
  return lora;
}

// llama.cpp orders the rows of a head's queries and keys so that pairs rotate, where Hugging Face
// has halves: row 2·i + h here is row h·(R/2) + i there.
bool rows_are_pairs(const ModelConfig& model, std::string_view name) {
  return model.attention.kind == AttentionKind::grouped &&
         model.rope.order == Backend::RopeOrder::pairs &&
         (name.ends_with(".attention.query") || name.ends_with(".attention.key"));
}

enum class To : std::uint8_t { pairs, halves };

void reorder_rows(std::span<float> values, std::int64_t cols, std::int64_t dims, To to) {
  const std::vector<float> from(values.begin(), values.end());
  const std::int64_t rows = static_cast<std::int64_t>(values.size()) / cols;
  for (std::int64_t r = 0; r < rows; ++r) {
    const std::int64_t head = r / dims, in_head = r % dims;
    const std::int64_t half = head * dims + in_head % 2 * (dims / 2) + in_head / 2;
    const std::int64_t source = to == To::pairs ? half : r, target = to == To::pairs ? r : half;
    std::copy_n(from.begin() + source * cols, cols, values.begin() + target * cols);
  }
}

void read_values(const Weight& weight, std::vector<float>& out) {
  for (std::size_t i = 0; i < out.size(); ++i) {
    std::uint16_t half = 0;
    if (weight.format == Format::f32) {
      std::memcpy(&out[i], weight.data + 4 * i, 4);
      continue;
    }
    std::memcpy(&half, weight.data + 2 * i, 2);
    out[i] = weight.format == Format::f16 ? half_to_float(half) : to_float(bf16{half});
  }
}

// The experts' stack that a weight belongs to: "layers.3.ffn.experts.*.gate"; empty for others.
std::string stack_of(const std::string& name) {
  constexpr std::string_view kExperts = ".experts.";
  const std::size_t at = name.find(kExperts);
  if (at == name.npos) return "";
  return name.substr(0, at) + name.substr(name.find('.', at + kExperts.size()));
}

// A copy of values as another order of rows has them.
std::vector<float> ordered(const ModelConfig& model, const Adapter::Entry& entry,
                           std::span<const float> b, std::int64_t rank, To to) {
  std::vector<float> values(b.begin(), b.end());
  if (rows_are_pairs(model, entry.name)) reorder_rows(values, rank, model.attention.rope_dims, to);
  return values;
}

class Reading {
 public:
  Reading(const std::string& folder, const ModelConfig& model)
      : model_(model),
        config_(read_config((fs::path(folder) / kPeftConfig).string())),
        store_(store::WeightStore::open((fs::path(folder) / kPeftWeights).string())),
        claims_(store_) {}

  std::unique_ptr<Adapter> run() {
    auto adapter = std::make_unique<Adapter>(config_);
    std::set<std::string> stacks;
    each_weight([&](const SlotInfo& info) {
      if (present(info.name)) stacks.insert(stack_of(info.name));
    });
    each_weight([&](const SlotInfo& info) {
      const bool there = present(info.name);
      const std::string stack = stack_of(info.name);
      // The experts of a stack are multiplied together: those without an adapter get one of zeros.
      if (there || (!stack.empty() && stacks.contains(stack))) {
        Adapter::Entry& entry = adapter->add(info.name, info.shape);
        if (there) read(entry);
      }
    });
    claims_.finish();
    return adapter;
  }

 private:
  template <class F>
  void each_weight(F f) {
    ModelWeights weights(model_);
    weights.visit(model_, [&](const SlotInfo& info, Slot&) {
      if (adapter_target(info, model_.layers)) f(info);
    });
  }
  bool present(const std::string& name) const {
    const std::string module = module_name(name);
    return store_.has(module + ".lora_A.weight") || store_.has(module + ".lora_B.weight");
  }
  void read(Adapter::Entry& entry) {
    const std::string module = module_name(entry.name);
    const Weight a = claims_.take(module + ".lora_A.weight", entry.a.weight.shape),
                 b = claims_.take(module + ".lora_B.weight", entry.b.weight.shape);
    for (const Weight* w : {&a, &b}) {
      if (w->present() && is_quantized(w->format))
        claims_.complain(fmt::format("{} is {}: expected F32, F16 or BF16", w->name,
                                     nautile::info(w->format).name));
    }
    if (!a.present() || !b.present() || is_quantized(a.format) || is_quantized(b.format)) return;
    read_values(a, entry.a.values);
    read_values(b, entry.b.values);
    entry.b.values = ordered(model_, entry, entry.b.values, config_.rank, To::pairs);
    entry.b.weight.data = reinterpret_cast<const std::byte*>(entry.b.values.data());
  }

  const ModelConfig& model_;
  LoraConfig config_;
  store::WeightStore store_;
  store::WeightClaims claims_;
};

// The last part of a module's name, as PEFT's target_modules takes it.
std::string leaf_of(const std::string& module) {
  return module.substr(module.rfind('.') + 1);
}

}  // namespace

std::unique_ptr<Adapter> open_peft(const std::string& folder, const ModelConfig& model) {
  for (const char* name : {kPeftConfig, kPeftWeights}) {
    if (fs::exists(fs::path(folder) / name)) continue;
    throw make_error(ErrorKind::failure, "{} is no adapter: there is no {} in it", folder, name)
        .hint("`nautile sft --lora-rank` and the PEFT library write such folders");
  }
  try {
    return Reading(folder, model).run();
  } catch (const Error& error) {
    throw error.with("while reading the adapter in {}", folder);
  }
}

void write_peft(const Adapter& adapter, const ModelConfig& model, const std::string& base,
                const std::string& folder) {
  const std::int64_t rank = adapter.config().rank;
  std::vector<store::SafetensorsEntry> declared;
  std::set<std::string> targets;
  for (const auto& entry : adapter.entries()) {
    const std::string module = module_name(entry->name);
    declared.push_back({module + ".lora_A.weight", "F32", {rank, entry->in}});
    declared.push_back({module + ".lora_B.weight", "F32", {entry->out, rank}});
    targets.insert(leaf_of(module));
  }
  store::SafetensorsWriter writer((fs::path(folder) / kPeftWeights).string(), declared);
  for (const auto& entry : adapter.entries()) {
    const auto floats = [](const Weight& w) {
      return std::span(reinterpret_cast<const float*>(w.data),
                       static_cast<std::size_t>(w.shape.elements()));
    };
    writer.append(std::as_bytes(floats(entry->a.weight)));
    const std::vector<float> b = ordered(model, *entry, floats(entry->b.weight), rank, To::halves);
    writer.append(std::as_bytes(std::span(b)));
  }
  writer.finish();
  const Json config = {{"base_model_name_or_path", base},
                       {"bias", "none"},
                       {"fan_in_fan_out", false},
                       {"inference_mode", true},
                       {"init_lora_weights", true},
                       {"lora_alpha", adapter.config().alpha},
                       {"lora_dropout", 0.0},
                       {"modules_to_save", nullptr},
                       {"peft_type", "LORA"},
                       {"r", rank},
                       {"target_modules", targets},
                       {"task_type", "CAUSAL_LM"},
                       {"use_rslora", adapter.config().scaling == LoraConfig::Scaling::by_root}};
  write_file_atomic((fs::path(folder) / kPeftConfig).string(),
                    config.dump(2, ' ', false, Json::error_handler_t::replace) + "\n");
}

}  // namespace nautile
