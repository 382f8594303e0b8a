// completion.cpp — the verb `completion`: scripts for bash, zsh and fish, made from the tree of
// verbs.
#include <fmt/ranges.h>

#include "app/program.h"
#include "app/suggest.h"

namespace nautile::app {
namespace {

struct CompletionOptions {
  const CLI::App* root = nullptr;
  std::string shell;
};

std::vector<const CLI::App*> verbs_of(const CLI::App& app) {
  return app.get_subcommands([](const CLI::App*) { return true; });
}

// An option wants a path if the name of its value says so.
bool takes_file(const CLI::Option& option) {
  const std::string type = option.get_type_name();
  return type.find("PATH") != type.npos || type.find("FILE") != type.npos;
}

bool takes_value(const CLI::Option& option) {
  return option.get_items_expected_max() > 0;
}

// In single quotes of a POSIX shell; fish reads it alike.
std::string in_quotes(std::string text) {
  for (std::size_t at = 0; (at = text.find('\'', at)) != text.npos; at += 4) {
    text.replace(at, 1, "'\\''");
  }
  return "'" + text + "'";
}

// All words that may follow: verbs and options.
std::string words_of(const CLI::App& app) {
  std::vector<std::string> words = verb_names(app);
  const std::vector<std::string> options = option_names(app);
  words.insert(words.end(), options.begin(), options.end());
  return fmt::format("{}", fmt::join(words, " "));
}

// Options of all verbs after which a path stands.
void collect_file_options(const CLI::App& app, std::vector<std::string>& names) {
  for (const CLI::Option* option : app.get_options()) {
    if (!takes_value(*option) || !takes_file(*option)) continue;
    for (const auto& name : option->get_lnames()) names.push_back("--" + name);
    for (const auto& name : option->get_snames()) names.push_back("-" + name);
  }
  for (const CLI::App* verb : verbs_of(app)) collect_file_options(*verb, names);
}

// "eval perplexity) words=…;;" for every verb, the deeper ones too.
void bash_cases(const CLI::App& app, const std::string& path, std::string& out) {
  for (const CLI::App* verb : verbs_of(app)) {
    const std::string name = path.empty() ? verb->get_name() : path + " " + verb->get_name();
    out += fmt::format("    {}) words={} ;;\n", in_quotes(name), in_quotes(words_of(*verb)));
    bash_cases(*verb, name, out);
  }
}

std::string bash_script(const CLI::App& root) {
  std::vector<std::string> files;
  collect_file_options(root, files);
  std::sort(files.begin(), files.end());
  files.erase(std::unique(files.begin(), files.end()), files.end());
  std::string nested;  // verbs that have verbs of their own
  for (const CLI::App* verb : verbs_of(root)) {
    if (!verbs_of(*verb).empty()) nested += (nested.empty() ? "" : "|") + verb->get_name();
  }
  std::string cases;
  bash_cases(root, "", cases);
  return fmt::format(R"(# Completion of nautile for bash: source it, or put it into
# ~/.local/share/bash-completion/completions/nautile
_nautile() {{
  local current=${{COMP_WORDS[COMP_CWORD]}} previous=${{COMP_WORDS[COMP_CWORD-1]}}
  local verb='' words={root_words} word at
  for ((at = 1; at < COMP_CWORD; ++at)); do
    word=${{COMP_WORDS[at]}}
    case "$word" in -*) continue ;; esac
    verb=$word
    case "$verb" in {nested}) ((at + 1 < COMP_CWORD)) && verb="$verb ${{COMP_WORDS[at+1]}}" ;; esac
    break
  done
  case "$previous" in {files}) COMPREPLY=($(compgen -f -- "$current")); return ;; esac
  case "$verb" in
{cases}  esac
  COMPREPLY=($(compgen -W "$words" -- "$current"))
  case "$current" in -*) ;; *) [ -z "$verb" ] || COMPREPLY+=($(compgen -f -- "$current")) ;; esac
}}
complete -o filenames -F _nautile nautile
)",
                     fmt::arg("root_words", in_quotes(words_of(root))),
                     fmt::arg("nested", nested.empty() ? "-" : nested),
                     fmt::arg("files", fmt::format("{}", fmt::join(files, "|"))),
                     fmt::arg("cases", cases));
}

// In a description of zsh's _arguments brackets and colons have a meaning.
std::string zsh_text(const std::string& text) {
  std::string out;
  for (const char c : text) {
    if (c == '[' || c == ']' || c == ':' || c == '\\') out += '\\';
    out += c;
  }
  return out;
}

void zsh_options(const CLI::App& app, std::string& out) {
  for (const CLI::Option* option : app.get_options()) {
    const auto add = [&](const std::string& name) {
      std::string spec = name + "[" + zsh_text(option->get_description()) + "]";
      if (takes_value(*option)) {
        spec +=
            ":" + zsh_text(option->get_type_name()) + ":" + (takes_file(*option) ? "_files" : " ");
      }
      out += "    " + in_quotes(spec) + " \\\n";
    };
    for (const auto& name : option->get_lnames()) add("--" + name);
    for (const auto& name : option->get_snames()) add("-" + name);
  }
}

std::string zsh_name(const std::string& path) {
  std::string name = "_nautile" + path;
  std::replace(name.begin(), name.end(), ' ', '_');
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
}

// One function per verb: its options, then its verbs or files.
void zsh_function(const CLI::App& app, const std::string& path, std::string& out) {
  for (const CLI::App* verb : verbs_of(app))
    zsh_function(*verb, path + " " + verb->get_name(), out);
  const auto verbs = verbs_of(app);
  out += zsh_name(path) + "() {\n";
  if (verbs.empty()) {
    out += "  _arguments \\\n";
    zsh_options(app, out);
    out += "    '*:file:_files'\n}\n";
    return;
  }
  out += "  local -a verbs=(\n";
  for (const CLI::App* verb : verbs) {
    out += "    " + in_quotes(verb->get_name() + ":" + zsh_text(verb->get_description())) + "\n";
  }
  out += "  )\n  local context state line\n  typeset -A opt_args\n  _arguments -C \\\n";
  zsh_options(app, out);
  out += "    '1:verb:->verb' '*::argument:->argument'\n  case $state in\n";
  out += "    verb) _describe verb verbs ;;\n    argument)\n      case $line[1] in\n";
  for (const CLI::App* verb : verbs) {
    out += fmt::format("        {}) {} ;;\n", verb->get_name(),
                       zsh_name(path + " " + verb->get_name()));
  }
  out += "      esac ;;\n  esac\n}\n";
}

std::string zsh_script(const CLI::App& root) {
  std::string out =
      "#compdef nautile\n"
      "# Completion of nautile for zsh: put it as _nautile into a folder of $fpath.\n";
  zsh_function(root, "", out);
  return out +
         "if [ \"$funcstack[1]\" = _nautile ]; then _nautile \"$@\"; else compdef _nautile "
         "nautile; fi\n";
}

void fish_lines(const CLI::App& app, const std::string& path, const std::string& condition,
                std::string& out) {
  const auto verbs = verbs_of(app);
  std::string here = condition;
  if (!verbs.empty()) {
    here += fmt::format("{}not __fish_seen_subcommand_from {}", here.empty() ? "" : "; and ",
                        fmt::join(verb_names(app), " "));
  }
  for (const CLI::App* verb : verbs) {
    out += fmt::format("complete -c nautile -f -n {} -a {} -d {}\n", in_quotes(here),
                       verb->get_name(), in_quotes(verb->get_description()));
  }
  for (const CLI::Option* option : app.get_options()) {
    if (!option->nonpositional()) continue;
    std::string names;
    for (const auto& name : option->get_lnames()) names += " -l " + name;
    for (const auto& name : option->get_snames()) names += " -s " + name;
    const char* value = !takes_value(*option) ? "" : takes_file(*option) ? " -rF" : " -x";
    out += fmt::format("complete -c nautile -n {}{}{} -d {}\n", in_quotes(here), names, value,
                       in_quotes(option->get_description()));
  }
  for (const CLI::App* verb : verbs) {
    const std::string seen = fmt::format("{}{}__fish_seen_subcommand_from {}", condition,
                                         condition.empty() ? "" : "; and ", verb->get_name());
    fish_lines(*verb, path + " " + verb->get_name(), seen, out);
  }
}

std::string fish_script(const CLI::App& root) {
  std::string out =
      "# Completion of nautile for fish: put it into ~/.config/fish/completions/nautile.fish\n";
  fish_lines(root, "", "", out);
  return out;
}

ExitCode completion(const CompletionOptions& options, const Environment&) {
  const CLI::App& root = *options.root;
  fmt::print("{}", options.shell == "bash"  ? bash_script(root)
                   : options.shell == "zsh" ? zsh_script(root)
                                            : fish_script(root));
  return ExitCode::ok;
}

}  // namespace

void add_completion(CLI::App& root, Program& program) {
  const auto options = std::make_shared<CompletionOptions>();
  options->root = &root;
  CLI::App* verb = add_verb(root, program, "completion", "Print a completion script for a shell",
                            options, completion);
  verb->add_option("shell", options->shell, "bash, zsh or fish")
      ->type_name("SHELL")
      ->required()
      ->check(CLI::IsMember({"bash", "zsh", "fish"}));
}

}  // namespace nautile::app
