#include "app/training.h"

#include <algorithm>

#include "app/machine.h"
#include "app/printer.h"
#include "app/processes.h"
#include "app/train_view.h"
#include "engine/sampler.h"
#include "engine/session.h"

namespace nautile::app {
namespace {

// Goes on with a prompt by the model in training; the trainer's own memory is not touched.
std::string sample(const train::Recipe& recipe, const Tokenizer& tokenizer, Backend& backend,
                   const train::Trainer& trainer, const std::string& prompt, std::uint64_t number) {
  const Model& model = trainer.model();
  std::vector<TokenId> tokens = tokenizer.encode(prompt, EncodeMode::parse_added, AddSpecial::yes);
  if (tokens.empty()) return "";
  engine::SessionOptions options;
  options.context = recipe.model.context;
  options.kv_format = recipe.trainer.kv_format;
  options.experts = trainer.experts();
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

}  // namespace

std::vector<std::string> lasting_sets(const train::Recipe& recipe, std::vector<std::string> sets) {
  for (const train::EffectiveValue& value : recipe.effective) {
    const bool path = value.key == "data.folder" || value.key == "model.from" ||
                      value.key == "model.config" || value.key == "tune.model" ||
                      value.key == "tune.data" || value.key == "tune.eval";
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

CpuOptions training_cpu(const ModelChoice& machine, const train::Recipe& recipe,
                        const Environment& environment, int threads) {
  ModelChoice choice = machine;
  if (choice.threads == 0) choice.threads = recipe.threads;
  if (choice.threads == 0 && !environment.threads) choice.threads = threads;
  CpuOptions cpu = cpu_options(choice, environment);
  // Beside an adapter the weights are multiplied as they are when the model is used.
  if (recipe.lora.rank == 0) cpu.compute_class = class_of(recipe.trainer.precision);
  return cpu;
}

void print_end(const std::string& out, train::TrainingRun& run) {
  const train::Trainer& trainer = run.trainer();
  fmt::print("{}: {} steps, {:.0f} tokens\n", out, trainer.step_count(), trainer.tokens_seen());
  for (const train::HeldOutScore& score : run.scores()) {
    if (score.bytes == 0) {  // not of text
      fmt::print("  held out, {:<16} loss {:.4f} of {:.0f}", score.name, score.nats_per_token(),
                 score.tokens);
      for (const auto& [name, value] : score.more) fmt::print(", {} {:.4f}", name, value);
      fmt::print("\n");
      continue;
    }
    fmt::print("  held out, {:<16} {:.4f} bits per byte, {:.4f} nats per token, {:.0f} tokens\n",
               score.name, score.bits_per_byte(), score.nats_per_token(), score.tokens);
  }
}

ExitCode carry_out(TrainingJob job, const Environment& environment, Comm& comm) {
  if (job.options.out.empty()) fail(ErrorKind::usage, "`nautile {}` needs --out FOLDER", job.verb);
  const auto backend = make_cpu_backend(job.cpu);
  const ComputeClass compute = class_of(job.recipe.trainer.precision);
  train::RunOptions& options = job.options;
  options.program_version = NAUTILE_VERSION;
  for (const double peak :
       comm.all_gather(measure_peak_flops(job.cpu.isa, compute, job.cpu.threads)))
    options.peak_flops += peak;
  options.available_bytes =
      static_cast<double>(engine::available_memory()) / machine_share(comm).processes;
  if (comm.is_root()) {
    if (!job.quiet) print_effective(job.recipe);
    if (comm.size() > 1) fmt::print("{} processes, in each ", comm.size());
    fmt::print("{}; MFU is of {:.1f} GFLOP/s, {} products as measured now\n", backend->describe(),
               options.peak_flops / 1e9, name(compute));
    std::fflush(stdout);
  }

  const CatchInterrupt interrupt(CatchInterrupt::Signals::all_requests);
  const train::Recipe shown = job.recipe;
  TrainLine line(environment, shown);
  const Tokenizer* tokenizer = nullptr;
  train::RunHooks hooks;
  hooks.notice = [&](const std::string& text) { line.say(text); };
  hooks.step = [&](const train::RunProgress& progress) { line.show(progress); };
  hooks.begin = job.begin;
  hooks.stop = [&] { return interrupt.happened(); };
  hooks.sample = [&](const train::Trainer& trainer, const std::string& prompt,
                     std::uint64_t number) {
    std::string text = sample(shown, *tokenizer, *backend, trainer, prompt, number);
    if (comm.is_root()) line.say(prompt + " → " + text);
    return text;
  };
  if (comm.is_root()) {
    for (const std::string& notice : shown.notices) line.say(notice);
  }
  train::TrainingRun run(std::move(job.recipe), options, *backend, comm, hooks);
  tokenizer = &run.tokenizer();
  const train::RunEnd end = run.go();
  if (end == train::RunEnd::finished) {
    if (comm.is_root()) job.finish(run, *backend);
    return ExitCode::ok;
  }
  if (comm.is_root())
    line.say(fmt::format("stopped after step {}; go on with: nautile {} --resume --out {}",
                         run.trainer().step_count(), job.verb, options.out));
  if (end == train::RunEnd::stopped) throw Interrupted();
  return ExitCode::ok;
}

void add_training_options(CLI::App& verb, TrainingChoice& choice) {
  verb.add_option("recipe", choice.recipe,
                  "The recipe (TOML); with --resume the run's own if none is named")
      ->type_name("FILE");
  verb.add_option("--out", choice.out, "The run's folder: checkpoints, metrics, samples")
      ->type_name("FOLDER_PATH");
  verb.add_flag("--resume", choice.resume, "Go on from the newest checkpoint that is whole");
  verb.add_option("--set", choice.sets, "A value over the recipe's: --set train.seed=2")
      ->type_name("KEY=VALUE")
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)
      ->allow_extra_args(false);
  verb.add_flag("--quiet", choice.quiet, "Do not print every value of the recipe");
  verb.add_option("--threads", choice.machine.threads,
                  "Compute threads (default: the recipe's, or the cores at hand)")
      ->type_name("N")
      ->check(CLI::Range(1, 1024));
  verb.add_option("--isa", choice.machine.isa, "Table of kernels: reference, avx2, avx512 or amx")
      ->type_name("TABLE");
}

}  // namespace nautile::app
