// export.cpp — the verb `export`: a training run as a Hugging Face folder.
#include "app/export.h"

#include <chrono>
#include <filesystem>

#include "app/loaded_model.h"
#include "app/printer.h"
#include "app/program.h"
#include "base/json.h"
#include "train/export.h"
#include "train/run_folder.h"

namespace nautile::app {
namespace {

using train::ExportOptions;
using train::RunFolder;
using train::SavedStep;
using Json = nlohmann::ordered_json;

struct ExportChoice {
  std::string run, to, format = "bf16", tokenizer;
  std::int64_t step = 0;  // 0: the newest
  bool ema = false, without_mtp = false;
  ModelChoice machine;
};

SavedStep find_step(const ExportChoice& choice) {
  const RunFolder folder(choice.run, RunFolder::Use::read);
  if (choice.step > 0) return folder.at_step(choice.step);
  auto newest = folder.newest_valid(
      [](const std::string& notice) { fmt::print(stderr, "nautile: {}\n", notice); });
  if (newest) return std::move(*newest);
  throw make_error(ErrorKind::usage, "{} has no checkpoint", choice.run)
      .hint("it is to be a folder that `nautile train --out` made");
}

// Of the run, unless the user names another; none is no error: weights may be all that is wanted.
std::string tokenizer_folder(const ExportChoice& choice) {
  if (!choice.tokenizer.empty()) {
    if (!std::filesystem::exists(choice.tokenizer + "/tokenizer.json") &&
        !std::filesystem::exists(choice.tokenizer + "/tiktoken.model"))
      fail(ErrorKind::usage, "--tokenizer {}: there is no tokenizer.json", choice.tokenizer);
    return choice.tokenizer;
  }
  const std::string own = RunFolder(choice.run, RunFolder::Use::read).tokenizer_folder();
  return std::filesystem::is_directory(own) ? own : "";
}

}  // namespace

void add_token_ids(Json& config, const std::string& tokenizer) {
  if (tokenizer.empty()) return;
  const Tokenizer text = open_text_files(tokenizer).tokenizer;
  const std::int64_t rows = train::parse_model_config(config).vocabulary;
  NAUTILE_CHECK(text.vocab_size() <= rows, "{} has {} tokens, the model {}: it is another's",
                tokenizer, text.vocab_size(), rows);
  const auto add = [&config](const char* name, std::optional<TokenId> id) {
    const auto at = config.find(name);
    if (id && (at == config.end() || at->is_null())) config[name] = *id;
  };
  add("bos_token_id", text.bos());
  add("eos_token_id", text.eos());
}

namespace {

ExitCode export_run(const ExportChoice& choice, const Environment& environment) {
  const SavedStep saved = find_step(choice);
  if (choice.ema && !saved.has_mean()) {
    throw make_error(ErrorKind::usage, "--ema: the run kept no running mean of its weights")
        .hint("a recipe that says [train] ema_decay = 0.999 makes one");
  }
  ExportOptions options;
  options.format =
      choice.format == "fp8" ? ExportOptions::Format::fp8 : ExportOptions::Format::bf16;
  options.mtp = choice.without_mtp ? ExportOptions::Mtp::drop : ExportOptions::Mtp::keep;
  options.tokenizer = tokenizer_folder(choice);
  const auto backend = make_cpu_backend(cpu_options(choice.machine, environment));
  Json config = parse_ordered_json(saved.state().model_config, saved.path() + ": model_config");
  add_token_ids(config, options.tokenizer);
  const train::ExportReport report = train::export_folder(
      config,
      train::numbers_of(saved, choice.ema ? SavedStep::Numbers::mean : SavedStep::Numbers::masters),
      *backend, choice.to, options);
  fmt::print("{}: step {}{}, {:.0f} tokens seen, as {}: {} tensors, {}\n", choice.to,
             saved.state().step, choice.ema ? ", running mean" : "", saved.state().tokens_seen,
             choice.format, report.tensors, bytes_text(static_cast<double>(report.bytes)));
  if (report.tokenizer_files == 0) {
    fmt::print(stderr,
               "nautile: the run has no tokenizer, so the folder has none: "
               "--tokenizer FOLDER copies one\n");
  }
  return ExitCode::ok;
}

}  // namespace

void add_export(CLI::App& root, Program& program) {
  const auto choice = std::make_shared<ExportChoice>();
  CLI::App* verb =
      add_verb(root, program, "export", "Write a training run's model as a Hugging Face folder",
               choice, export_run);
  verb->add_option("run", choice->run, "The run's folder: `--out` of nautile train")
      ->type_name("PATH")
      ->required();
  verb->add_option("--to", choice->to, "The folder to write; it must not be there yet")
      ->type_name("FOLDER_PATH")
      ->required();
  verb->add_option("--format", choice->format,
                   "bf16, or fp8: E4M3 with scales of 128x128 blocks (default: bf16)")
      ->type_name("FORMAT")
      ->check(CLI::IsMember({"bf16", "fp8"}));
  verb->add_flag("--ema", choice->ema, "The running mean of the weights instead of the last ones");
  verb->add_option("--step", choice->step, "The checkpoint of this step (default: the newest)")
      ->type_name("N")
      ->check(CLI::Range(std::int64_t{1}, std::int64_t{1} << 40));
  verb->add_flag("--without-mtp", choice->without_mtp,
                 "Leave out the module that predicts a second token");
  verb->add_option("--tokenizer", choice->tokenizer,
                   "Copy the tokenizer of this folder (default: the run's)")
      ->type_name("FOLDER_PATH");
}

}  // namespace nautile::app
