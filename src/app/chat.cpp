// chat.cpp — the verbs `chat` and `think`: a conversation at a terminal, or one answer without one;
// `think` is a chat with the small reasoner that comes with nautile.
#include "app/chat_session.h"
#include "app/one_shot.h"
#include "app/program.h"
#include "app/repl.h"
#include "app/shipped_model.h"
#include "base/error.h"

namespace nautile::app {
namespace {

// What is asked where there is neither a prompt nor a terminal to ask for one.
constexpr const char* kDefaultPrompt = "Hello! Who are you, and what can you do?";
constexpr const char* kThinkPrompt = "2741 + 586 = ?";

struct ChatOptions {
  ModelChoice model;
  const char* default_prompt = kDefaultPrompt;
  GivenSettings settings;
  std::optional<std::string> prompt, system;
  std::string save, load, format;
  bool as_json = false;
};

std::string prompt_of(const ChatOptions& options, const Environment& environment) {
  if (options.prompt) return *options.prompt;
  std::string text = read_stdin(environment);
  // A pipe's last line end is not part of what is said.
  if (text.ends_with('\n')) text.pop_back();
  if (!text.empty()) return text;
  fmt::print(stderr, "(no prompt was given; asking: {})\n", options.default_prompt);
  return options.default_prompt;
}

void answer_once(ChatSession& chat, const std::string& prompt, const ChatOptions& options,
                 const Environment& environment) {
  const CatchInterrupt interrupt;
  const auto finish = [&](const Generated& generated) {
    if (!options.save.empty()) chat.save(chat_file_base(options.save, environment));
    if (generated.finish == Finish::interrupted) throw Interrupted{};
    if (generated.finish == Finish::output_closed) throw OutputClosed{};
  };
  if (!options.as_json) {
    finish(print_answer(chat, prompt, interrupt, environment).generated);
    return;
  }
  AnswerWatch watch;
  watch.piece = [](const auto&) {};
  watch.notice = [](const std::string& text) { fmt::print(stderr, "{}\n", text); };
  watch.go = [&] {
    return interrupt.happened() ? engine::Session::Go::stop : engine::Session::Go::on;
  };
  Answer answer = chat.answer(prompt, watch);
  nlohmann::ordered_json report = report_of(answer.generated, chat.model(), chat.settings());
  report["answer"] = answer.content;
  if (!answer.reasoning.empty()) report["reasoning"] = answer.reasoning;
  if (print_report(report) == Output::closed)
    answer.generated.finish = Finish::output_closed;  // and yet saved
  finish(answer.generated);
}

ExitCode chat_verb(const ChatOptions& options, const Environment& environment) {
  const bool interactive = !options.prompt && !options.as_json && environment.stdin_terminal &&
                           environment.stdout_terminal;
  const std::string prompt = interactive ? "" : prompt_of(options, environment);
  const LoadedModel model = load_model(reachable(options.model, environment), environment);
  ChatSession chat(model, chat_format_of(model, options.format),
                   default_settings(model.text().defaults, environment));
  if (!options.load.empty()) {
    const std::string notice = chat.load(chat_file_base(options.load, environment));
    if (!notice.empty()) fmt::print(stderr, "({})\n", notice);
  }
  for (const auto& [name, value] : options.settings)
    apply_setting(chat.settings(), name, value, "option", model.config().vocabulary);
  if (options.system) chat.set_system(*options.system);
  if (!interactive) {
    answer_once(chat, prompt, options, environment);
    return ExitCode::ok;
  }
  Repl repl(chat, environment);
  const ExitCode code = repl.run();
  if (!options.save.empty()) chat.save(chat_file_base(options.save, environment));
  return code;
}

ExitCode think_verb(const ChatOptions& options, const Environment& environment) {
  ChatOptions shipped = options;
  if (shipped.model.path.empty()) shipped.model.path = require_shipped_model(environment);
  shipped.default_prompt = kThinkPrompt;
  return chat_verb(shipped, environment);
}

void add_options(CLI::App* verb, const std::shared_ptr<ChatOptions>& options) {
  verb->add_option("-p,--prompt", options->prompt,
                   "Answer this one message and leave; without a terminal and without -p the "
                   "message is standard input")
      ->type_name("TEXT");
  verb->add_option("--system", options->system, "The system prompt; '' for none")
      ->type_name("TEXT");
  verb->add_option("--load", options->load, "Go on with a saved chat; with a slash a path")
      ->type_name("NAME");
  verb->add_option("--save", options->save, "Save the chat at the end; with a slash a path")
      ->type_name("NAME");
  verb->add_option("--chat-format", options->format,
                   "template (the model's own), deepseek-v2, deepseek-v2.5, deepseek-v3, "
                   "deepseek-r1 or deepseek-v3.1")
      ->type_name("FORMAT");
  verb->add_flag("--json", options->as_json, "Print the answer and its facts as one JSON object");
  add_setting_options(*verb, options->settings, SettingScope::chat);
  add_model_options(*verb, options->model);
}

}  // namespace

void add_chat(CLI::App& root, Program& program) {
  const auto options = std::make_shared<ChatOptions>();
  add_options(add_verb(root, program, "chat", "Talk with a model", options, chat_verb), options);
}

void add_think(CLI::App& root, Program& program) {
  const auto options = std::make_shared<ChatOptions>();
  add_options(add_verb(root, program, "think",
                       "Talk with the small reasoner that comes with nautile", options, think_verb),
              options);
}

}  // namespace nautile::app
