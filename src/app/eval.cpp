// eval.cpp — the verb `eval`: measures of a model; here perplexity over a text file.
#include <chrono>
#include <nlohmann/json.hpp>

#include "app/eval_tasks.h"
#include "app/loaded_model.h"
#include "app/program.h"
#include "app/progress_line.h"
#include "base/file.h"
#include "eval/perplexity.h"

namespace nautile::app {
namespace {

struct PerplexityChoice {
  ModelChoice model;
  std::string file;
  std::int64_t window = 0, stride = 0, tokens = 0;
  bool as_json = false;
};

void print_result(const PerplexityChoice& choice, const LoadedModel& model,
                  const eval::PerplexityOptions& options, const eval::PerplexityResult& result,
                  double seconds) {
  const double speed = seconds > 0 ? static_cast<double>(result.tokens) / seconds : 0;
  if (choice.as_json) {
    const nlohmann::ordered_json json = {{"model", model.path},
                                         {"file", choice.file},
                                         {"window", options.window},
                                         {"stride", options.stride},
                                         {"tokens", result.tokens},
                                         {"bytes", result.bytes},
                                         {"nats_per_token", result.nats_per_token()},
                                         {"perplexity", result.perplexity()},
                                         {"bits_per_byte", result.bits_per_byte()},
                                         {"seconds", seconds}};
    fmt::print("{}\n", json.dump(2, ' ', false, nlohmann::json::error_handler_t::replace));
    return;
  }
  fmt::print("{}: {} tokens, {} bytes, windows of {}\n", choice.file, result.tokens, result.bytes,
             options.window);
  fmt::print("  {:.6f} nats per token (perplexity {:.4f})\n", result.nats_per_token(),
             result.perplexity());
  fmt::print("  {:.6f} bits per byte\n", result.bits_per_byte());
  fmt::print("  {:.1f} s, {:.1f} tokens/s\n", seconds, speed);
}

ExitCode measure_perplexity(const PerplexityChoice& choice, const Environment& environment) {
  const std::string text = read_file(choice.file);
  const LoadedModel model = load_model(choice.model, environment);
  const Tokenizer& tokenizer = model.text().tokenizer;
  const std::vector<TokenId> tokens = tokenizer.encode(text, EncodeMode::plain);
  eval::PerplexityOptions options;
  options.window = choice.window > 0 ? choice.window
                   : choice.model.context > 0
                       ? choice.model.context
                       : std::min<std::int64_t>(options.window, model.session.context);
  options.stride = choice.stride;
  options.max_tokens = choice.tokens;
  engine::Session session(*model.model, *model.backend, model.session);
  const CatchInterrupt interrupt;
  const auto start = std::chrono::steady_clock::now();
  eval::PerplexityResult result;
  const auto seconds = [&] {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  };
  try {
    ProgressLine line(environment, "perplexity");
    result = eval::perplexity(
        session, tokenizer, tokens, options,
        [&](std::int64_t done, std::int64_t all, const eval::PerplexityResult& so_far) {
          result = so_far;
          if (interrupt.happened()) throw Interrupted();
          line.update(done, all, fmt::format("{:.4f} nats/token", so_far.nats_per_token()));
        });
  } catch (const Interrupted&) {
    fmt::print(stderr, "nautile: interrupted; this is the result so far\n");
    print_result(choice, model, options, result, seconds());
    std::fflush(stdout);
    throw;
  }
  if (result.tokens == 0) {
    fail(ErrorKind::bad_input, "{} has too few tokens to foretell one", choice.file);
  }
  print_result(choice, model, options, result, seconds());
  return ExitCode::ok;
}

}  // namespace

void add_eval(CLI::App& root, Program& program) {
  CLI::App* verb = root.add_subcommand("eval", "Measure a model");
  verb->require_subcommand(1);
  const auto choice = std::make_shared<PerplexityChoice>();
  CLI::App* measure = add_verb(*verb, program, "perplexity",
                               "How well it foretells a text: nats per token, bits per byte",
                               choice, measure_perplexity);
  measure->add_option("file", choice->file, "The text (UTF-8)")->type_name("FILE")->required();
  add_model_options(*measure, choice->model);
  measure->add_option("--window", choice->window, "Tokens seen at once (default: --ctx, or 2048)")
      ->type_name("N")
      ->check(CLI::Range(std::int64_t{3}, std::int64_t{1} << 31));
  measure
      ->add_option("--stride", choice->stride,
                   "Tokens from window to window (default: no overlap); less costs more and gives "
                   "each token more to go by")
      ->type_name("N")
      ->check(CLI::Range(std::int64_t{1}, std::int64_t{1} << 31));
  measure->add_option("--tokens", choice->tokens, "Only the first N tokens of the text")
      ->type_name("N")
      ->check(CLI::Range(std::int64_t{2}, std::int64_t{1} << 40));
  measure->add_flag("--json", choice->as_json, "Print JSON");
  add_eval_tasks(*verb, program);
}

}  // namespace nautile::app
