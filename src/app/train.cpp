// train.cpp — the verb `train`: carries out a recipe, or says what it would cost.
#include <filesystem>

#include "app/machine.h"
#include "app/processes.h"
#include "app/program.h"
#include "app/train_view.h"
#include "app/training.h"
#include "base/file.h"
#include "base/parallel.h"

namespace nautile::app {
namespace {

struct TrainChoice : TrainingChoice {
  bool dry_run = false, as_json = false;
};

// The recipe's text, and what to parse it with.
train::StoredRecipe find_recipe(const TrainChoice& choice) {
  train::StoredRecipe stored;
  if (!choice.recipe.empty()) {
    stored = {read_file(choice.recipe, std::size_t{1} << 24),
              std::filesystem::absolute(choice.recipe).string(),
              {},
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

ExitCode plan(const TrainChoice& choice, const train::Recipe& recipe,
              const Environment& environment, Comm& comm) {
  if (!comm.is_root()) return ExitCode::ok;
  Plan plan{recipe, recipe.cost.peak_flops, "cost.peak_flops of the recipe",
            static_cast<double>(engine::available_memory()), recipe.planned_ranks(comm.size())};
  if (plan.peak_flops == 0) {
    const CpuOptions cpu = training_cpu(choice.machine, recipe, environment, available_cores());
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

ExitCode train_in(Comm& comm, const TrainChoice& choice, const Environment& environment) {
  const train::StoredRecipe stored = find_recipe(choice);
  TrainingJob job;
  job.options.kind.resumed_config = stored.model_config;
  train::Recipe recipe =
      train::parse_recipe(stored.text, stored.path, stored.sets, job.options.kind);
  comm.set_patience(recipe.timeout);
  if (choice.dry_run) return plan(choice, recipe, environment, comm);
  if (choice.as_json) fail(ErrorKind::usage, "--json goes with --dry-run");
  job.verb = "train";
  job.options.out = choice.out;
  job.options.start =
      choice.resume ? train::RunOptions::Start::resume : train::RunOptions::Start::fresh;
  job.options.recipe_text = stored.text;
  job.options.sets = lasting_sets(recipe, stored.sets);
  job.cpu = training_cpu(choice.machine, recipe, environment, machine_share(comm).threads);
  job.quiet = choice.quiet;
  job.finish = [&](train::TrainingRun& run, Backend&) { print_end(choice.out, run); };
  job.recipe = std::move(recipe);
  return carry_out(std::move(job), environment, comm);
}

ExitCode run_train(const TrainChoice& choice, const Environment& environment) {
  return run_in_processes(environment,
                          [&](Comm& comm) { return train_in(comm, choice, environment); });
}

}  // namespace

void add_train(CLI::App& root, Program& program) {
  const auto choice = std::make_shared<TrainChoice>();
  CLI::App* verb =
      add_verb(root, program, "train", "Pre-train a model as a recipe says", choice, run_train);
  add_training_options(*verb, *choice);
  verb->add_flag("--dry-run", choice->dry_run,
                 "Print parameters, memory, work, time and money; nothing is allocated");
  verb->add_flag("--json", choice->as_json, "With --dry-run: print JSON");
}

}  // namespace nautile::app
