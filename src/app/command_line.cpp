#include "app/command_line.h"

#include <cstdio>
#include <new>
#include <sstream>
#include <system_error>

#include "app/output.h"
#include "app/suggest.h"

namespace nautile::app {
namespace {

int code(ExitCode value) {
  return static_cast<int>(value);
}

// An unknown word in place of a verb, or an unknown option, with what it may have meant.
[[noreturn]] void explain_extra(const CLI::App& root, const CLI::ExtrasError& error) {
  const auto chosen = root.get_subcommands();
  const CLI::App& where = chosen.empty() ? root : *chosen.front();
  const std::vector<std::string> extra = where.remaining();
  const std::string word = extra.empty() ? "" : extra.front();
  if (word.empty()) throw Error(ErrorKind::usage, error.what());
  if (chosen.empty() && word.front() != '-') {
    throw make_error(ErrorKind::usage, "there is no verb '{}'", word)
        .hint("{}", suggestion(word, verb_names(root)));
  }
  const std::string verb = chosen.empty() ? "nautile" : "nautile " + where.get_name();
  if (word.front() == '-' && word.size() > 1) {
    const std::string name = word.substr(0, word.find('='));
    throw make_error(ErrorKind::usage, "{} has no option '{}'", verb, name)
        .hint("{}", suggestion(name, option_names(where)));
  }
  throw make_error(ErrorKind::usage, "{} takes no further argument '{}'", verb, word)
      .hint("`{} --help` shows what it takes", verb);
}

// -> whether there is an action to run. Help and version have been printed otherwise.
enum class Parsed { action, done };

Parsed parse(CLI::App& root, int argc, char** argv) {
  try {
    root.parse(argc, argv);
    return Parsed::action;
  } catch (const CLI::Success& success) {
    std::ostringstream out;  // the library's flushes of std::cout would hide that it is closed
    root.exit(success, out, out);
    if (write_output(out.str()) == Output::closed) throw OutputClosed{};
    return Parsed::done;
  } catch (const CLI::ExtrasError& error) {
    explain_extra(root, error);
  } catch (const CLI::ParseError& error) {
    const auto chosen = root.get_subcommands();
    throw make_error(ErrorKind::usage, "{}", error.what())
        .hint("`nautile {}--help` shows what there is",
              chosen.empty() ? "" : chosen.front()->get_name() + " ");
  }
}

ExitCode run(int argc, char** argv) {
  Program program;
  program.environment = read_environment();
  CLI::App root;
  describe_program(root, program);
  if (argc <= 1) {
    fmt::print(stderr, "{}", root.help());
    return ExitCode::usage;
  }
  if (parse(root, argc, argv) == Parsed::done) return ExitCode::ok;
  if (!program.action) fail(ErrorKind::usage, "no verb was given: `nautile --help` lists them");
  const ExitCode result = program.action();
  flush_output();
  return result;
}

}  // namespace

void describe_program(CLI::App& root, Program& program) {
  root.name("nautile");
  root.description("Runs open-weight language models of the DeepSeek kind on this machine.");
  root.set_version_flag("--version", "nautile " NAUTILE_VERSION);
  root.require_subcommand(0, 1);
  root.get_formatter()->column_width(34);
  root.get_formatter()->label("SUBCOMMAND", "VERB");
  root.get_formatter()->label("Subcommands", "Verbs");
  root.footer(
      "`nautile VERB --help` explains a verb; `nautile help exit-codes` and\n"
      "`nautile help environment` what their names say.");
  add_verbs(root, program);
}

int run_program(int argc, char** argv) {
  keep_running_on_closed_pipes();
  try {
    return code(run(argc, argv));
  } catch (...) {
    const Ending ending = ending_of_current_exception();
    if (!ending.message.empty()) {
      std::fflush(stdout);
      std::fprintf(stderr, "nautile: %s\n", ending.message.c_str());
    }
    return code(ending.code);
  }
}

}  // namespace nautile::app
