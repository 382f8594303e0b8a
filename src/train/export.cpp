#include "train/export.h"

#include <filesystem>

#include "base/bf16.h"
#include "base/file.h"
#include "model/family.h"
#include "store/safetensors_writer.h"
#include "train/run_folder.h"

namespace nautile::train {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

// A tensor of the folder and the weight it holds.
struct Entry {
  std::string file_name;  // as the folder spells it
  SlotInfo info;
  Format format;
};

Format stored_format(const SlotInfo& info, ExportOptions::Format asked) {
  if (info.role == Role::router_bias) return Format::f32;
  if (info.shape.rank() < 2) return Format::bf16;
  return trained_format(asked == ExportOptions::Format::fp8 ? Precision::fp8 : Precision::bf16,
                        info);
}

// Every tensor, in the order of the forward pass.
std::vector<Entry> list_entries(const ModelConfig& config, const ExportOptions& options) {
  std::vector<Entry> entries;
  ModelWeights weights(config);
  const auto add = [&](std::string name, const SlotInfo& info) {
    entries.push_back({std::move(name), info, stored_format(info, options.format)});
  };
  SlotInfo embedding, head;
  weights.visit(config, [&](const SlotInfo& info, Slot&) {
    if (info.role == Role::embedding) embedding = head = info;
    if (info.role == Role::head) head = info;
    if (!is_trained(info) && info.role != Role::router_bias) return;
    add(*hf_tensor_name(info.name), info);
  });
  for (int k = 0; k < config.mtp_layers; ++k) {
    const std::string module = fmt::format("model.layers.{}.", config.layers + k);
    add(module + "embed_tokens.weight", embedding);
    add(module + "shared_head.head.weight", head);
  }
  return entries;
}

Shape scale_shape(const Shape& shape) {
  return {(shape[0] + 127) / 128, (shape[1] + 127) / 128};
}

struct Shard {
  std::vector<Entry> tensors;
  std::vector<store::SafetensorsEntry> declared;
};

std::vector<Shard> cut_shards(std::vector<Entry> entries, std::uint64_t most) {
  std::vector<Shard> shards(1);
  std::uint64_t bytes = 0;
  for (Entry& entry : entries) {
    store::SafetensorsEntry declared{
        entry.file_name, std::string(*store::safetensors_dtype(entry.format)), entry.info.shape};
    const std::uint64_t more = declared.bytes();
    if (bytes > 0 && bytes + more > most) {
      shards.emplace_back();
      bytes = 0;
    }
    bytes += more;
    Shard& shard = shards.back();
    shard.declared.push_back(std::move(declared));
    if (entry.format == Format::f8_e4m3) {
      shard.declared.push_back(
          {entry.file_name + "_scale_inv", "F32", scale_shape(entry.info.shape)});
    }
    shard.tensors.push_back(std::move(entry));
  }
  return shards;
}

void write_tensor(const Entry& entry, std::span<const float> values, Backend& backend,
                  store::SafetensorsWriter& writer) {
  if (entry.format == Format::f32) {
    writer.append(std::as_bytes(values));
  } else if (entry.format == Format::f8_e4m3) {
    const Shape& shape = entry.info.shape;
    std::vector<std::byte> codes(values.size());
    std::vector<float> scales(static_cast<std::size_t>(scale_shape(shape).elements()));
    backend.gradients().quantize_f8(values.data(), shape[0], shape[1], codes.data(), scales.data());
    writer.append(codes);
    writer.append(std::as_bytes(std::span(scales)));
  } else {
    std::vector<bf16> rounded(values.size());
    for (std::size_t i = 0; i < values.size(); ++i) rounded[i] = to_bf16(values[i]);
    writer.append(std::as_bytes(std::span(rounded)));
  }
}

std::string shard_name(std::size_t index, std::size_t count) {
  if (count == 1) return "model.safetensors";
  return fmt::format("model-{:05}-of-{:05}.safetensors", index + 1, count);
}

void write_json(const std::string& path, const Json& json) {
  write_file_atomic(path, json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n");
}

void write_weights(const std::string& folder, const std::vector<Shard>& shards,
                   const NumbersOf& numbers, Backend& backend, ExportReport& report) {
  Json map = Json::object();
  for (std::size_t i = 0; i < shards.size(); ++i) {
    const std::string name = shard_name(i, shards.size());
    store::SafetensorsWriter writer(fmt::format("{}/{}", folder, name), shards[i].declared);
    for (const Entry& entry : shards[i].tensors)
      write_tensor(entry, numbers(entry.info.name, entry.info.shape), backend, writer);
    writer.finish();
    report.bytes += writer.data_bytes();
    report.tensors += shards[i].declared.size();
    for (const store::SafetensorsEntry& entry : shards[i].declared) map[entry.name] = name;
  }
  report.files = shards.size();
  if (shards.size() == 1) return;
  const Json index = {{"metadata", {{"total_size", report.bytes}}}, {"weight_map", map}};
  write_json(folder + "/model.safetensors.index.json", index);
}

// The class in transformers that runs a model_type; other programs ask for it.
const char* architecture_of(const std::string& type) {
  constexpr std::pair<std::string_view, const char*> kKnown[] = {
      {"deepseek_v2", "DeepseekV2ForCausalLM"},
      {"deepseek_v3", "DeepseekV3ForCausalLM"},
      {"llama", "LlamaForCausalLM"},
      {"qwen2", "Qwen2ForCausalLM"},
      {"qwen3", "Qwen3ForCausalLM"},
      {"qwen3_moe", "Qwen3MoeForCausalLM"}};
  for (const auto& [name, architecture] : kKnown) {
    if (type == name) return architecture;
  }
  return nullptr;
}

Json exported_config(Json json, const ExportOptions& options) {
  const char* architecture = architecture_of(json.value("model_type", ""));
  if (!json.contains("architectures") && architecture)
    json["architectures"] = Json::array({architecture});
  json[json.contains("dtype") ? "dtype" : "torch_dtype"] = "bfloat16";
  json.erase("quantization_config");
  if (options.format == ExportOptions::Format::fp8) {
    json["quantization_config"] = {{"activation_scheme", "dynamic"},
                                   {"fmt", "e4m3"},
                                   {"quant_method", "fp8"},
                                   {"weight_block_size", {128, 128}}};
  }
  if (options.mtp == ExportOptions::Mtp::drop && json.contains("num_nextn_predict_layers"))
    json["num_nextn_predict_layers"] = 0;
  return json;
}

// For folders of which the tokenizer brings none.
void write_generation_config(const std::string& folder, const Json& config) {
  const std::string path = folder + "/generation_config.json";
  if (fs::exists(path)) return;
  Json json = {{"_from_model_config", true}};
  for (const char* name : {"bos_token_id", "eos_token_id", "pad_token_id"}) {
    if (const auto at = config.find(name); at != config.end() && !at->is_null()) json[name] = *at;
  }
  write_json(path, json);
}

void make_folder(const std::string& folder) {
  std::error_code error;
  fs::remove_all(folder, error);
  fs::create_directories(folder, error);
  if (error) fail(ErrorKind::failure, "cannot make the folder {}: {}", folder, error.message());
}

std::string without_slash(std::string path) {
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  return path;
}

// Moves the files of `from` into `to`; until config.json, the last, there is no model there.
void move_files(const std::string& from, const std::string& to) {
  std::error_code error;
  fs::remove(fs::path(to) / "config.json", error);
  std::vector<fs::path> files;
  for (const fs::directory_entry& entry : fs::directory_iterator(from)) {
    if (entry.path().filename() != "config.json") files.push_back(entry.path());
  }
  files.push_back(fs::path(from) / "config.json");
  for (const fs::path& file : files) {
    const fs::path target = fs::path(to) / file.filename();
    fs::rename(file, target, error);
    if (error)
      fail(ErrorKind::failure, "cannot move {} to {}: {}", file.string(), to, error.message());
  }
  sync_folder(to);
  fs::remove_all(from, error);
}

}  // namespace

ModelConfig parse_model_config(const Json& config_json) {
  const nlohmann::json json = config_json;
  const auto type = json.is_object() ? json.find("model_type") : json.end();
  NAUTILE_CHECK(type != json.end() && type->is_string(), "config.json: model_type is missing");
  ModelConfig config = family_of_hf(type->get<std::string>()).from_hf(json);
  config.validate();
  return config;
}

NumbersOf numbers_of(Trainer& trainer, SavedStep::Numbers which) {
  NAUTILE_CHECK(which == SavedStep::Numbers::masters || !trainer.ema().empty(),
                "the trainer keeps no mean of its weights");
  return [&trainer, which](const std::string& name, const Shape&) -> std::span<const float> {
    ParamSet& params = trainer.params();
    for (const RouterBias& bias : params.router_biases()) {
      if (bias.slot->weight.name == name) return bias.slot->values;
    }
    const Param* p = params.find(name);
    NAUTILE_ASSERT(p, "{} is not trained", name);
    if (which == SavedStep::Numbers::mean) return trainer.ema().subspan(p->offset, p->count);
    return params.master(*p);
  };
}

NumbersOf numbers_of(const SavedStep& saved, SavedStep::Numbers which) {
  return [&saved, which](const std::string& name, const Shape& shape) {
    // A router's bias has its own rule and no mean.
    const bool is_bias = name.ends_with(".router_bias");
    return saved.values(name, shape, is_bias ? SavedStep::Numbers::masters : which);
  };
}

ExportReport export_folder(const Json& config_json, const NumbersOf& numbers, Backend& backend,
                           const std::string& to, const ExportOptions& options) {
  const std::string target = without_slash(to);
  std::error_code error;
  const bool beside = options.place == ExportOptions::Place::beside;
  if (!beside && fs::exists(target, error) && !(fs::is_directory(target) && fs::is_empty(target))) {
    throw make_error(ErrorKind::usage, "{} is there already", target)
        .hint("choose another folder, or remove it");
  }
  ModelConfig config = parse_model_config(config_json);
  if (options.mtp == ExportOptions::Mtp::drop) config.mtp_layers = 0;
  const std::vector<Shard> shards = cut_shards(list_entries(config, options), options.shard_bytes);
  const std::string temporary = target + (beside ? "/.export.part" : ".part");
  ExportReport report;
  try {
    make_folder(temporary);
    write_weights(temporary, shards, numbers, backend, report);
    if (!options.tokenizer.empty())
      report.tokenizer_files = copy_tokenizer_files(options.tokenizer, temporary);
    const Json exported = exported_config(config_json, options);
    write_generation_config(temporary, exported);
    write_json(temporary + "/config.json", exported);
    if (beside) {
      move_files(temporary, target);
      return report;
    }
    fs::rename(temporary, target, error);
    if (error)
      fail(ErrorKind::failure, "cannot rename {} to {}: {}", temporary, target, error.message());
  } catch (const Error& problem) {
    fs::remove_all(temporary, error);
    throw problem.with("while exporting to {}", target);
  }
  return report;
}

}  // namespace nautile::train
