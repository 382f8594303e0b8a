// loaded_model.h — LoadedModel: a model ready to run, and the options by which every verb names
// one.
#pragma once

#include <CLI/CLI.hpp>
#include <memory>
#include <string>

#include "app/environment.h"
#include "app/text_files.h"
#include "engine/session.h"
#include "model/adapter.h"
#include "model/loader.h"

namespace nautile::app {

// What the command line says about the model; empty and 0 mean the default.
struct ModelChoice {
  std::string path;           // else NAUTILE_MODEL, else the default model
  std::string mirror;         // of the default model; else NAUTILE_MIRROR
  std::int64_t context = 0;   // else the model's own, at most kDefaultContext
  int threads = 0;            // else NAUTILE_THREADS, else the cores at hand
  std::string isa;            // else NAUTILE_ISA, else the best this CPU can run
  std::string compute_class;  // else each format's own
  std::string kv = "bf16";    // format of the cache
  bool exact = false;         // one form of attention, whatever it costs
  std::string lora;           // folder of an adapter; empty: none
};
inline constexpr std::int64_t kDefaultContext = 8192;

// -m, --mirror, --lora and --isa, --threads, --class, --ctx, --kv, --exact.
void add_model_options(CLI::App& verb, ModelChoice& choice);
// Parts of them: --mirror; --ctx and --kv; -m and --mirror, for verbs that only read files; --isa,
// --threads, --class.
void add_mirror_option(CLI::App& verb, ModelChoice& choice);
void add_context_options(CLI::App& verb, ModelChoice& choice);
void add_model_path(CLI::App& verb, ModelChoice& choice);
void add_machine_options(CLI::App& verb, ModelChoice& choice);

// The path that the choice means; obtains the default model if it is that and is not there yet.
std::string model_path(const ModelChoice& choice, const Environment& environment);
// Throws Error(usage) for numbers and names that cannot be, Error(unsupported) as isa_by_name.
CpuOptions cpu_options(const ModelChoice& choice, const Environment& environment);

// Where no model is named and the default one cannot be fetched: the one that came with nautile,
// which is said on stderr. Throws Error as default_model.
ModelChoice reachable(ModelChoice choice, const Environment& environment);
// "SmolLM2-135M-Instruct.Q4_1": the name of a model's file or folder.
std::string model_title(const std::string& path);

// Owns all it shows. Movable; `model` and `backend` stay where they are.
struct LoadedModel {
  std::string path;
  Checkpoint checkpoint;
  std::unique_ptr<Adapter> adapter;  // null: none
  std::unique_ptr<Backend> backend;
  std::unique_ptr<Model> model;
  std::optional<TextFiles> text_files;  // none if the checkpoint has no tokenizer
  engine::SessionOptions session;       // context and cache format as chosen
  engine::MemoryNeed memory;
  double load_seconds = 0;

  const ModelConfig& config() const { return checkpoint.config(); }
  // Throws Error(failure), saying which files are missing, if there is no tokenizer.
  const TextFiles& text() const;
  std::string title() const { return model_title(path); }
  // 64 hex digits that name the weights: of config facts, and of name, type, shape and first bytes
  // of each tensor. Session files carry it.
  std::string fingerprint() const;
};

// Checks that it fits the memory before anything is allocated (Error(no_memory)); shows progress on
// a terminal. Throws Error as the parts do.
LoadedModel load_model(const ModelChoice& choice, const Environment& environment);

// "98.4 MB", "1.6 GB": powers of 1000.
std::string bytes_text(double bytes);

}  // namespace nautile::app
