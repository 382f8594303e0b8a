// man.cpp — the verb `man`: the manual page in roff, made from the tree of verbs.
#include <fmt/ranges.h>

#include "app/program.h"

namespace nautile::app {
namespace {

struct ManOptions {
  const CLI::App* root = nullptr;
};

// Backslashes, hyphens that are minus signs, and lines that begin like a request.
std::string roff(const std::string& text) {
  std::string out;
  bool at_start = true;
  for (const char c : text) {
    if (at_start && (c == '.' || c == '\'')) out += "\\&";
    if (c == '\\') {
      out += "\\e";
    } else if (c == '-') {
      out += "\\-";
    } else {
      out += c;
    }
    at_start = c == '\n';
  }
  return out;
}

void option_entries(const CLI::App& app, std::string& out) {
  for (const CLI::Option* option : app.get_options()) {
    if (option->get_group().empty()) continue;
    std::vector<std::string> names;
    for (const auto& name : option->get_snames()) names.push_back("-" + name);
    for (const auto& name : option->get_lnames()) names.push_back("--" + name);
    const bool has_value = option->get_items_expected_max() > 0;
    if (names.empty()) {
      out += fmt::format(".TP\n\\fI{}\\fR\n", roff(option->get_type_name()));
    } else {
      out +=
          fmt::format(".TP\n\\fB{}\\fR{}\n", roff(fmt::format("{}", fmt::join(names, ", "))),
                      has_value ? fmt::format(" \\fI{}\\fR", roff(option->get_type_name())) : "");
    }
    out += roff(option->get_description()) + "\n";
  }
}

void verb_sections(const CLI::App& app, const std::string& path, std::string& out) {
  for (const CLI::App* verb : app.get_subcommands([](const CLI::App*) { return true; })) {
    const std::string name = path + " " + verb->get_name();
    out += fmt::format(".SS {}\n{}.\n", roff(name), roff(verb->get_description()));
    option_entries(*verb, out);
    verb_sections(*verb, name, out);
  }
}

ExitCode man(const ManOptions& options, const Environment&) {
  const CLI::App& root = *options.root;
  std::string out =
      fmt::format(".TH NAUTILE 1 \"\" \"nautile {}\" \"User Commands\"\n", NAUTILE_VERSION);
  out += ".SH NAME\nnautile \\- run open\\-weight language models on this machine\n";
  out += ".SH SYNOPSIS\n\\fBnautile\\fR \\fIVERB\\fR [\\fIOPTION\\fR...]\n";
  out += ".SH DESCRIPTION\n" + roff(root.get_description()) +
         "\nWithout \\fB\\-m\\fR a small default model is used; it is fetched once.\n";
  out += ".SH OPTIONS\n";
  option_entries(root, out);
  out += ".SH VERBS\n";
  verb_sections(root, "nautile", out);
  out += ".SH ENVIRONMENT\n.nf\n" + roff(environment_help()) + ".fi\n";
  out += ".SH EXIT STATUS\n.nf\n" + roff(exit_code_help()) + ".fi\n";
  fmt::print("{}", out);
  return ExitCode::ok;
}

}  // namespace

void add_man(CLI::App& root, Program& program) {
  const auto options = std::make_shared<ManOptions>();
  options->root = &root;
  add_verb(root, program, "man", "Print the manual page (nautile man | man -l -)", options, man);
}

}  // namespace nautile::app
