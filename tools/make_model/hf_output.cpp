#include "make_model/hf_output.h"

#include <filesystem>

#include "base/error.h"
#include "base/file.h"
#include "make_model/produce.h"
#include "make_model/tensors.h"
#include "make_model/vocabulary.h"
#include "store/safetensors.h"
#include "store/safetensors_writer.h"

namespace nautile::make_model {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

// Router bias stays F32; embeddings, head, router and norms are BF16 in an FP8 checkpoint (spec 01
// §8).
Format stored_format(const TensorSpec& spec, Format asked) {
  if (spec.role == Role::routing_bias) return Format::f32;
  const bool linear = spec.role == Role::matrix || spec.role == Role::residual;
  return asked == Format::f8_e4m3 && !linear ? Format::bf16 : asked;
}

Shape scale_shape(const Shape& shape) {
  return {(shape[0] + 127) / 128, (shape[1] + 127) / 128};
}

std::string scale_name(const TensorSpec& spec) {
  return spec.name + "_scale_inv";
}

struct Shard {
  std::vector<TensorSpec> specs;
  std::vector<store::SafetensorsEntry> entries;
};

std::vector<Shard> cut_shards(const Facts& facts, const Options& options) {
  std::vector<Shard> shards(1);
  std::uint64_t bytes = 0;
  for (TensorSpec& spec : list_tensors(facts)) {
    const Format format = stored_format(spec, options.format);
    store::SafetensorsEntry entry{spec.name, std::string(*store::safetensors_dtype(format)),
                                  spec.shape};
    const std::uint64_t more = entry.bytes();
    if (bytes > 0 && bytes + more > options.shard_bytes) {
      shards.emplace_back();
      bytes = 0;
    }
    bytes += more;
    Shard& shard = shards.back();
    shard.entries.push_back(std::move(entry));
    if (format == Format::f8_e4m3) {
      shard.entries.push_back({scale_name(spec), "F32", scale_shape(spec.shape)});
    }
    shard.specs.push_back(std::move(spec));
  }
  return shards;
}

void write_tensor(const TensorSpec& spec, const Facts& facts, const Options& options,
                  ThreadPool& pool, store::SafetensorsWriter& writer) {
  const Values::Stream stream = Values(facts, options.seed, options.std).stream(spec);
  const std::int64_t rows = spec.shape.rank() == 1 ? 1 : spec.shape[0];
  const std::int64_t columns = spec.shape.cols();
  const FillRow fill = [&](std::int64_t row, float* out) { stream.row(row, columns, out); };
  const Sink sink = [&](std::span<const std::byte> bytes) { writer.append(bytes); };
  const Format format = stored_format(spec, options.format);
  if (format != Format::f8_e4m3) {
    produce_rows(pool, format, rows, columns, fill, sink);
    return;
  }
  const json quantization = facts.config.value("quantization_config", json::object());
  const auto style = quantization.value("scale_fmt", "") == "ue8m0" ? kernels::F8Scale::power_of_two
                                                                    : kernels::F8Scale::any;
  const std::vector<float> scales = produce_f8(pool, rows, columns, style, fill, sink);
  writer.append(std::as_bytes(std::span(scales)));
}

std::string shard_name(std::size_t index, std::size_t count) {
  if (count == 1) return "model.safetensors";
  return fmt::format("model-{:05}-of-{:06}.safetensors", index + 1, count);
}

void write_config(const Facts& facts, const Options& options) {
  json config = facts.config;
  if (options.format == Format::f8_e4m3) {
    json& quantization = config["quantization_config"];
    if (!quantization.is_object()) quantization = json::object();
    quantization["activation_scheme"] = "dynamic";
    quantization["fmt"] = "e4m3";
    quantization["quant_method"] = "fp8";
    quantization["weight_block_size"] = {128, 128};
  } else {
    config.erase("quantization_config");
  }
  const char* dtype = options.format == Format::f32   ? "float32"
                      : options.format == Format::f16 ? "float16"
                                                      : "bfloat16";
  config[config.contains("dtype") ? "dtype" : "torch_dtype"] = dtype;
  write_file_atomic(options.out + "/config.json", config.dump(2) + "\n");
}

void write_tokenizer(const Facts& facts, const Options& options) {
  if (options.tokenizer.empty()) {
    const auto vocabulary = made_vocabulary(facts);
    if (!vocabulary) {
      fmt::print(stderr, "make_model: no tokenizer: {} tokens cannot hold 256 bytes, BOS and EOS\n",
                 facts.vocabulary);
      return;
    }
    write_file_atomic(options.out + "/tokenizer.json", tokenizer_json(*vocabulary).dump(1));
    write_file_atomic(options.out + "/tokenizer_config.json",
                      tokenizer_config_json(*vocabulary).dump(1));
    return;
  }
  for (const char* name : {"tokenizer.json", "tokenizer_config.json", "special_tokens_map.json",
                           "generation_config.json", "chat_template.jinja", "tiktoken.model"}) {
    const fs::path from = fs::path(options.tokenizer) / name;
    if (fs::exists(from))
      write_file_atomic((fs::path(options.out) / name).string(), read_file(from.string()));
  }
}

}  // namespace

std::uint64_t write_folder(const Facts& facts, const Options& options, ThreadPool& pool) {
  if (!store::safetensors_dtype(options.format) || options.format == Format::i32) {
    throw make_error(ErrorKind::usage, "a safetensors folder cannot hold {}",
                     info(options.format).name)
        .hint("block formats need --out NAME.gguf");
  }
  std::error_code error;
  fs::create_directories(options.out, error);
  if (error)
    fail(ErrorKind::failure, "cannot make the folder {}: {}", options.out, error.message());
  const std::vector<Shard> shards = cut_shards(facts, options);
  std::uint64_t total = 0;
  json map = json::object();
  for (std::size_t i = 0; i < shards.size(); ++i) {
    const std::string name = shard_name(i, shards.size());
    store::SafetensorsWriter writer(options.out + "/" + name, shards[i].entries);
    for (const TensorSpec& spec : shards[i].specs) write_tensor(spec, facts, options, pool, writer);
    writer.finish();
    total += writer.data_bytes();
    for (const store::SafetensorsEntry& entry : shards[i].entries) map[entry.name] = name;
  }
  // Last, so that a folder with an index or a config is a whole one.
  if (shards.size() > 1) {
    const json index = {{"metadata", {{"total_size", total}}}, {"weight_map", map}};
    write_file_atomic(options.out + "/model.safetensors.index.json", index.dump(2) + "\n");
  }
  write_tokenizer(facts, options);
  write_config(facts, options);
  return total;
}

}  // namespace nautile::make_model
