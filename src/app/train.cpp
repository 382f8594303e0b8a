// train.cpp — the verb `train`: carries out a recipe, or says what it would cost.
#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "app/loaded_model.h"
#include "app/machine.h"
#include "app/printer.h"
#include "app/program.h"
#include "app/train_view.h"
#include "base/file.h"
#include "base/rng.h"
#include "engine/sampler.h"
#include "engine/session.h"

namespace nautile::app {
namespace {

struct TrainChoice {
  std::string recipe, out;
  std::vector<std::string> sets;
  ModelChoice machine;
  bool resume = false, dry_run = false, as_json = false, quiet = false;
};

// The recipe's text, and what to parse it with.
train::StoredRecipe find_recipe(const TrainChoice& choice) {
  train::StoredRecipe stored;
  if (!choice.recipe.empty()) {
    stored = {read_file(choice.recipe, std::size_t{1} << 24),
              std::filesystem::absolute(choice.recipe).string(),
              {}};
  } else if (choice.resume && !choice.out.empty()) {
    stored = train::stored_recipe(choice.out);
  } else {
    throw make_error(ErrorKind::usage, "`nautile train` needs a recipe")
        .hint("recipes/debug.toml is one; --resume --out FOLDER goes on with the run's own");
  }
  stored.sets.insert(stored.sets.end(), choice.sets.begin(), choice.sets.end());
  return stored;
}

// Paths of --set are kept as they are meant now, whatever the working directory of a resumed run.
std::vector<std::string> lasting_sets(const train::Recipe& recipe, std::vector<std::string> sets) {
  for (const train::EffectiveValue& value : recipe.effective) {
    const bool path =
        value.key == "data.folder" || value.key == "model.from" || value.key == "model.config";
    if (path && value.origin == "--set")
      sets.push_back(fmt::format("{}={}", value.key, value.value.dump()));
  }
  return sets;
}

ComputeClass class_of(train::Precision precision) {
  switch (precision) {
    case train::Precision::f32:
      return ComputeClass::f32;
    case train::Precision::bf16:
      return ComputeClass::bf16;
    case train::Precision::fp8:
      return ComputeClass::fp8dyn;
  }
  return ComputeClass::f32;
}

CpuOptions cpu_of(const TrainChoice& choice, const train::Recipe& recipe,
                  const Environment& environment) {
  ModelChoice machine = choice.machine;
  if (machine.threads == 0) machine.threads = recipe.threads;
  CpuOptions cpu = cpu_options(machine, environment);
  cpu.compute_class = class_of(recipe.trainer.precision);
  return cpu;
}

// Goes on with a prompt by the model in training; the trainer's own memory is not touched.
std::string sample(const train::Recipe& recipe, const Tokenizer& tokenizer, Backend& backend,
                   const Model& model, const std::string& prompt, std::uint64_t number) {
  std::vector<TokenId> tokens = tokenizer.encode(prompt, EncodeMode::parse_added, AddSpecial::yes);
  if (tokens.empty()) return "";
  engine::SessionOptions options;
  options.context = recipe.model.context;
  options.kv_format = recipe.trainer.kv_format;
  if (static_cast<std::int64_t>(tokens.size()) >= options.context) return "";
  engine::Session session(model, backend, options);
  engine::SamplingParams params;
  params.temperature = static_cast<float>(recipe.samples.temperature);
  params.seed = number;
  engine::Sampler sampler(params, model.config().vocabulary);
  const std::size_t begin = tokens.size();
  std::span<const float> logits = session.append(tokens);
  const std::vector<TokenId>& stops = tokenizer.stop_ids();
  for (std::int64_t i = 0; i < recipe.samples.tokens && session.size() < session.context(); ++i) {
    const TokenId next = sampler.sample(logits, {}, {}, session.size()).token;
    if (std::binary_search(stops.begin(), stops.end(), next)) break;
    tokens.push_back(next);
    logits = session.append({&next, 1});
  }
  return tokenizer.decode(std::span(tokens).subspan(begin), SkipSpecial::no);
}

void print_end(const TrainChoice& choice, train::TrainingRun& run) {
  const train::Trainer& trainer = run.trainer();
  fmt::print("{}: {} steps, {:.0f} tokens\n", choice.out, trainer.step_count(),
             trainer.tokens_seen());
  for (const train::HeldOutScore& score : run.scores()) {
    fmt::print("  held out, {:<16} {:.4f} bits per byte, {:.4f} nats per token, {:.0f} tokens\n",
               score.name, score.bits_per_byte(), score.nats_per_token(), score.tokens);
  }
}

ExitCode carry_out(const TrainChoice& choice, const train::StoredRecipe& stored,
                   train::Recipe recipe, const Environment& environment) {
  if (choice.out.empty()) fail(ErrorKind::usage, "`nautile train` needs --out FOLDER");
  const CpuOptions cpu = cpu_of(choice, recipe, environment);
  const auto backend = make_cpu_backend(cpu);
  const ComputeClass compute = class_of(recipe.trainer.precision);
  train::RunOptions options;
  options.out = choice.out;
  options.start =
      choice.resume ? train::RunOptions::Start::resume : train::RunOptions::Start::fresh;
  options.program_version = NAUTILE_VERSION;
  options.recipe_text = stored.text;
  options.sets = lasting_sets(recipe, stored.sets);
  options.peak_flops = measure_peak_flops(cpu.isa, compute, cpu.threads);
  options.available_bytes = static_cast<double>(engine::available_memory());
  if (!choice.quiet) print_effective(recipe);
  fmt::print("{}; MFU is of {:.1f} GFLOP/s, {} products as measured now\n", backend->describe(),
             options.peak_flops / 1e9, name(compute));
  std::fflush(stdout);

  const CatchInterrupt interrupt;
  TrainLine line(environment, recipe);
  const train::Recipe shown = recipe;
  const Tokenizer* tokenizer = nullptr;
  train::RunHooks hooks;
  hooks.notice = [&](const std::string& text) { line.say(text); };
  hooks.step = [&](const train::RunProgress& progress) { line.show(progress); };
  hooks.stop = [&] { return interrupt.happened(); };
  hooks.sample = [&](const Model& model, const std::string& prompt, std::uint64_t number) {
    std::string text = sample(shown, *tokenizer, *backend, model, prompt, number);
    line.say(prompt + " → " + text);
    return text;
  };
  for (const std::string& notice : shown.notices) line.say(notice);
  train::TrainingRun run(std::move(recipe), options, *backend, hooks);
  tokenizer = &run.tokenizer();
  const train::RunEnd end = run.go();
  if (end == train::RunEnd::finished) {
    print_end(choice, run);
    return ExitCode::ok;
  }
  line.say(fmt::format("stopped after step {}; go on with: nautile train --resume --out {}",
                       run.trainer().step_count(), choice.out));
  if (end == train::RunEnd::stopped) throw Interrupted();
  return ExitCode::ok;
}

ExitCode plan(const TrainChoice& choice, const train::Recipe& recipe,
              const Environment& environment) {
  Plan plan{recipe, recipe.cost.peak_flops, "cost.peak_flops of the recipe",
            static_cast<double>(engine::available_memory())};
  if (plan.peak_flops == 0) {
    const CpuOptions cpu = cpu_of(choice, recipe, environment);
    const ComputeClass compute = class_of(recipe.trainer.precision);
    plan.peak_flops = measure_peak_flops(cpu.isa, compute, cpu.threads);
    plan.peak_source =
        fmt::format("{} products measured here, {} threads", name(compute), cpu.threads);
  }
  if (choice.as_json) {
    print_plan_json(plan);
    return ExitCode::ok;
  }
  if (!choice.quiet) print_effective(recipe);
  print_plan(plan);
  for (const std::string& notice : recipe.notices) fmt::print("note: {}\n", notice);
  return ExitCode::ok;
}

ExitCode run_train(const TrainChoice& choice, const Environment& environment) {
  const train::StoredRecipe stored = find_recipe(choice);
  train::Recipe recipe = train::parse_recipe(stored.text, stored.path, stored.sets);
  if (choice.dry_run) return plan(choice, recipe, environment);
  if (choice.as_json) fail(ErrorKind::usage, "--json goes with --dry-run");
  return carry_out(choice, stored, std::move(recipe), environment);
}

}  // namespace

void add_train(CLI::App& root, Program& program) {
  const auto choice = std::make_shared<TrainChoice>();
  CLI::App* verb =
      add_verb(root, program, "train", "Pre-train a model as a recipe says", choice, run_train);
  verb->add_option("recipe", choice->recipe,
                   "The recipe (TOML); with --resume the run's own if none is named")
      ->type_name("FILE");
  verb->add_option("--out", choice->out, "The run's folder: checkpoints, metrics, samples")
      ->type_name("FOLDER_PATH");
  verb->add_flag("--resume", choice->resume, "Go on from the newest checkpoint that is whole");
  verb->add_option("--set", choice->sets, "A value over the recipe's: --set train.seed=2")
      ->type_name("KEY=VALUE")
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  verb->add_flag("--dry-run", choice->dry_run,
                 "Print parameters, memory, work, time and money; nothing is allocated");
  verb->add_flag("--json", choice->as_json, "With --dry-run: print JSON");
  verb->add_flag("--quiet", choice->quiet, "Do not print every value of the recipe");
  verb->add_option("--threads", choice->machine.threads,
                   "Compute threads (default: the recipe's, or the cores at hand)")
      ->type_name("N")
      ->check(CLI::Range(1, 1024));
  verb->add_option("--isa", choice->machine.isa, "Table of kernels: reference, avx2, avx512 or amx")
      ->type_name("TABLE");
}

}  // namespace nautile::app
