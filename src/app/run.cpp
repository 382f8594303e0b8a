// run.cpp — the verb `run`: goes on with a text as it stands, without any chat format.
#include "app/one_shot.h"
#include "app/printer.h"
#include "app/program.h"
#include "app/progress_line.h"
#include "base/error.h"
#include "text/unicode.h"

namespace nautile::app {
namespace {

struct RunOptions {
  ModelChoice model;
  GivenSettings settings;
  std::optional<std::string> prompt;
  std::string save, load;
  bool parse_special = false, echo = false, as_json = false;
};

// What the session holds, then the text. BOS begins a text where the model wants one, and where
// there would be nothing to go on from.
std::vector<TokenId> tokens_of(const std::string& text, const RunOptions& options,
                               const engine::Session& session, const Tokenizer& tokenizer) {
  std::vector<TokenId> tokens(session.tokens().begin(), session.tokens().end());
  const std::vector<TokenId> more =
      tokenizer.encode(text, options.parse_special ? EncodeMode::parse_added : EncodeMode::plain);
  const bool has_bos = !more.empty() && tokenizer.bos() && more.front() == *tokenizer.bos();
  const bool needs_bos = tokens.empty() && !has_bos && (tokenizer.wants_bos() || more.empty());
  if (needs_bos && tokenizer.bos()) tokens.push_back(*tokenizer.bos());
  tokens.insert(tokens.end(), more.begin(), more.end());
  if (tokens.empty()) fail(ErrorKind::usage, "there is nothing to go on from: give a text with -p");
  if (static_cast<std::int64_t>(tokens.size()) >= session.context()) {
    throw make_error(ErrorKind::usage, "the text takes {} tokens, the context has {}",
                     tokens.size(), session.context())
        .hint("start with a larger --ctx");
  }
  return tokens;
}

// Writes the text out and tells when the user has had enough.
GenerationWatch watch_of(Printer& printer, std::optional<ProgressLine>& progress,
                         const CatchInterrupt& interrupt, const Environment& environment) {
  GenerationWatch watch;
  watch.text = [&](const std::string& text) { printer.piece({"", text}); };
  watch.go = [&] {
    return interrupt.happened() || printer.output() == Output::closed ? engine::Session::Go::stop
                                                                      : engine::Session::Go::on;
  };
  watch.prefill = [&](std::int64_t done, std::int64_t all) {
    if (!progress) progress.emplace(environment, "reading");
    progress->update(done, all);
    if (done == all) progress.reset();
    return engine::Session::Go::on;
  };
  return watch;
}

// The last token drawn is not computed yet; a session that goes on needs it.
void save_session(engine::Session& session, const std::vector<TokenId>& prompt,
                  const Generated& generated, const RunOptions& options, const LoadedModel& model) {
  const std::size_t all = prompt.size() + generated.tokens.size();
  if (static_cast<std::size_t>(session.size()) + 1 == all && session.size() < session.context() &&
      !generated.tokens.empty()) {
    session.append(std::span(&generated.tokens.back(), 1));
  }
  session.save(options.save, model.fingerprint());
}

ExitCode run_verb(const RunOptions& options, const Environment& environment) {
  const std::string text = replace_invalid_utf8(options.prompt         ? *options.prompt
                                                : options.load.empty() ? read_stdin(environment)
                                                                       : "");
  const LoadedModel model = load_model(options.model, environment);
  const Tokenizer& tokenizer = model.text().tokenizer;
  Settings settings = default_settings(model.text().defaults, environment);
  for (const auto& [name, value] : options.settings)
    apply_setting(settings, name, value, "option", model.config().vocabulary);
  engine::Session session(*model.model, *model.backend, model.session);
  if (!options.load.empty()) session.load(options.load, model.fingerprint());
  const std::vector<TokenId> prompt = tokens_of(text, options, session, tokenizer);

  const CatchInterrupt interrupt;
  Printer printer(environment, ReasoningShown::show);
  std::optional<ProgressLine> progress;
  GenerationWatch watch = watch_of(printer, progress, interrupt, environment);
  std::string completion;
  if (options.as_json) watch.text = [&](const std::string& piece) { completion += piece; };
  if (options.echo && !options.as_json) printer.piece({"", text});
  Generated generated =
      generate(session, tokenizer, model.config().vocabulary,
               {prompt, settings, model.text().defaults.stop_ids, SkipSpecial::yes}, watch);
  progress.reset();
  if (options.as_json) {
    nlohmann::ordered_json report = report_of(generated, model, settings);
    report["text"] = completion;
    if (print_report(report) == Output::closed) generated.finish = Finish::output_closed;
  } else {
    printer.finish();
    if (printer.output() == Output::closed) generated.finish = Finish::output_closed;
    if (generated.finish == Finish::context)
      printer.notice(fmt::format("(cut: the context of {} tokens is full; --ctx gives more)",
                                 session.context()));
    if (settings.speed == SpeedLine::on) printer.notice(speed_text(generated, session));
  }
  if (!options.save.empty()) save_session(session, prompt, generated, options, model);
  if (generated.finish == Finish::interrupted) throw Interrupted{};
  if (generated.finish == Finish::output_closed) throw OutputClosed{};
  return ExitCode::ok;
}

}  // namespace

void add_run(CLI::App& root, Program& program) {
  const auto options = std::make_shared<RunOptions>();
  CLI::App* verb =
      add_verb(root, program, "run", "Go on with a text, without a chat format", options, run_verb);
  verb->add_option("-p,--prompt", options->prompt, "The text; without it, standard input")
      ->type_name("TEXT");
  verb->add_flag("--parse-special", options->parse_special,
                 "Control tokens spelled in the text become tokens");
  verb->add_flag("--echo", options->echo, "Print the text before what follows it");
  verb->add_flag("--json", options->as_json, "Print the text and its facts as one JSON object");
  verb->add_option("--load", options->load, "Go on from a session file")->type_name("PATH");
  verb->add_option("--save", options->save, "Save tokens and cache to a session file at the end")
      ->type_name("PATH");
  add_setting_options(*verb, options->settings, SettingScope::any);
  add_model_options(*verb, options->model);
}

}  // namespace nautile::app
