#include "app/repl.h"

#include <filesystem>
#include <iterator>

#include "app/printer.h"
#include "app/progress_line.h"
#include "app/suggest.h"
#include "base/error.h"

namespace nautile::app {
namespace {

using Go = engine::Session::Go;

constexpr const char* kHelp =
    "  /help            this list\n"
    "  /system [TEXT]   show the system prompt, or set it; 'none' takes it away\n"
    "  /set [NAME VALUE] show the settings, or change one\n"
    "  /save NAME       keep the chat; a NAME with a slash is a path\n"
    "  /load NAME       go on with a chat\n"
    "  /clear           forget what was said, keep the system prompt and the settings\n"
    "  /reasoning       show the reasoning of the last answer\n"
    "  /bye             leave (also Ctrl-D)\n"
    "\n"
    "  \"\"\" begins and ends a text of several lines; so does a backslash at a line's end.\n"
    "  Ctrl-C stops the answer and keeps what was said. Up and down go through what you typed.\n";

std::string history_path(const Environment& environment) {
  if (environment.data_folder.empty()) return "";
  std::error_code error;
  std::filesystem::create_directories(environment.data_folder, error);
  return error ? "" : environment.data_folder + "/history";
}

std::string ending_text(const Answer& answer, const ChatSession& chat) {
  switch (answer.generated.finish) {
    case Finish::max_tokens:
      return fmt::format("(cut after max_tokens {})", chat.settings().max_tokens);
    case Finish::context:
      return fmt::format(
          "(cut: the context of {} tokens is full; go on with /clear, with /set context_end drop, "
          "or "
          "with a larger --ctx, at most {})",
          chat.session().context(), chat.model().config().context);
    case Finish::interrupted:
      return answer.generated.tokens.empty() ? "(stopped before the answer; message taken back)"
                                             : "(stopped)";
    case Finish::end:
    case Finish::stop_string:
    case Finish::output_closed:
      return "";
  }
  return "";
}

}  // namespace

Answer print_answer(ChatSession& chat, const std::string& user, const CatchInterrupt& interrupt,
                    const Environment& environment) {
  Printer printer(environment, chat.settings().reasoning);
  std::optional<ProgressLine> progress;
  AnswerWatch watch;
  watch.piece = [&](const auto& piece) { printer.piece(piece); };
  watch.notice = [&](const std::string& text) { printer.notice(text); };
  watch.go = [&] {
    return interrupt.happened() || printer.output() == Output::closed ? Go::stop : Go::on;
  };
  watch.prefill = [&](std::int64_t done, std::int64_t all) {
    if (!progress) progress.emplace(environment, "reading");
    progress->update(done, all);
    if (done == all) progress.reset();  // wiped before the first word
    return Go::on;
  };
  Answer answer = chat.answer(user, watch);
  progress.reset();
  printer.finish();
  if (printer.output() == Output::closed) answer.generated.finish = Finish::output_closed;
  const std::string ending = ending_text(answer, chat);
  if (!ending.empty()) printer.notice(ending);
  if (chat.settings().speed == SpeedLine::on)
    printer.notice(speed_text(answer.generated, chat.session()));
  return answer;
}

Repl::Repl(ChatSession& chat, const Environment& environment)
    : chat_(chat), environment_(environment), editor_(history_path(environment), interrupt_) {}

void Repl::greet() {
  const LoadedModel& model = chat_.model();
  fmt::print(stderr, "{}: {}, loaded in {}; context {} tokens ({}). /help helps.\n", model.title(),
             bytes_text(static_cast<double>(model.memory.weights)),
             duration_text(model.load_seconds), model.session.context,
             bytes_text(static_cast<double>(model.memory.kv)));
}

ExitCode Repl::run() {
  greet();
  int interrupts = 0;  // one after the other
  while (true) {
    std::string line;
    const LineEnd end = editor_.read(input_.pending() ? "... " : ">>> ", line);
    if (end == LineEnd::end) return ExitCode::ok;
    if (end == LineEnd::interrupted) {
      if (++interrupts > 1) fmt::print(stderr, "(Ctrl-D or /bye leaves)\n");
      input_.clear();
      continue;
    }
    interrupts = 0;
    const std::optional<std::string> input = input_.feed(line);
    if (!input || trimmed(*input).empty()) continue;
    editor_.remember(*input);
    try {
      if (handle(*input) == Go::leave) return ExitCode::ok;
    } catch (const Error& error) {
      fmt::print(stderr, "{}\n", error.what());
    }
  }
}

Repl::Go Repl::handle(const std::string& input) {
  if (const auto found = parse_command(input)) return command(*found);
  say(input);
  return Go::on;
}

void Repl::say(const std::string& input) {
  interrupt_.forget();
  last_reasoning_ = print_answer(chat_, input, interrupt_, environment_).reasoning;
  interrupt_.forget();
}

Repl::Go Repl::command(const Command& command) {
  const auto& [name, rest] = command;
  if (name == "bye" || name == "exit" || name == "quit") return Go::leave;
  if (name == "help" || name == "?") {
    write_output(kHelp);
  } else if (name == "system") {
    system(rest);
  } else if (name == "set") {
    set(rest);
  } else if (name == "save") {
    save(rest);
  } else if (name == "load") {
    load(rest);
  } else if (name == "clear") {
    chat_.clear();
    fmt::print(stderr, "(forgotten)\n");
  } else if (name == "reasoning") {
    write_output(fmt::format("{}\n", last_reasoning_.empty()
                                         ? "(the last answer had no reasoning)"
                                         : terminal_safe(trimmed(last_reasoning_))));
  } else {
    throw make_error(ErrorKind::usage, "there is no command /{}", name)
        .hint("{}", suggestion("/" + name, {"/help", "/system", "/set", "/save", "/load", "/clear",
                                            "/reasoning", "/bye"}));
  }
  return Go::on;
}

void Repl::system(const std::string& rest) {
  if (!rest.empty()) chat_.set_system(rest == "none" ? "" : rest);
  const std::string text = chat_.system();
  write_output(fmt::format("{}\n", text.empty() ? "(no system prompt)" : terminal_safe(text)));
}

void Repl::set(const std::string& rest) {
  if (rest.empty()) {
    write_output(fmt::format("{}  context: {} of {} tokens used (--ctx)\n",
                             settings_text(chat_.settings()), chat_.session().size(),
                             chat_.session().context()));
    return;
  }
  const std::size_t space = rest.find_first_of(" \t");
  const std::string name = rest.substr(0, space);
  const std::string value = space == rest.npos ? "" : trimmed(rest.substr(space));
  const Setting& setting = find_setting(name);
  if (!value.empty())
    apply_setting(chat_.settings(), name, value, "/set", chat_.model().config().vocabulary);
  write_output(
      fmt::format("{} is {} ({})\n", setting.name, setting.show(chat_.settings()), setting.help));
}

void Repl::save(const std::string& name) {
  if (name.empty()) fail(ErrorKind::usage, "/save NAME: what shall it be called?");
  const std::string base = chat_file_base(name, environment_);
  chat_.save(base);
  fmt::print(stderr, "(saved: {}.json, and the cache {}.kv)\n", base, base);
}

void Repl::load(const std::string& name) {
  if (name.empty()) fail(ErrorKind::usage, "/load NAME: which chat?");
  const std::string base = chat_file_base(name, environment_);
  const std::string notice = chat_.load(base);
  if (!notice.empty()) fmt::print(stderr, "({})\n", notice);
  fmt::print(stderr, "(loaded: {} exchanges, {} tokens)\n", chat_.exchanges(),
             chat_.session().size());
}

}  // namespace nautile::app
