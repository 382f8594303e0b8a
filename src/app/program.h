// program.h — Program: what main hands to the verbs, and the list of verbs.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <memory>
#include <string>

#include "app/environment.h"
#include "app/exit_code.h"

namespace nautile::app {

// A verb registers itself with its options and, when it is the one chosen, sets `action`; main
// calls that after the command line is known to be whole. Actions throw Error, Interrupted,
// OutputClosed or std::bad_alloc; main turns them into a message and an exit code.
struct Program {
  Environment environment;
  std::function<ExitCode()> action;
};

// The usual registration: `verb` with options of type Options (held until the action has run) and
// `run(const Options&, const Environment&)`.
template <class Options>
CLI::App* add_verb(CLI::App& root, Program& program, const std::string& name,
                   const std::string& description, const std::shared_ptr<Options>& options,
                   ExitCode (*run)(const Options&, const Environment&)) {
  CLI::App* verb = root.add_subcommand(name, description);
  verb->callback([&program, verb, options, run] {
    // A verb's own verb speaks first and has the word.
    if (!verb->get_subcommands().empty()) return;
    program.action = [&program, options, run] { return run(*options, program.environment); };
  });
  return verb;
}

// Registers all verbs of verbs.cpp, in the order that help shows them.
void add_verbs(CLI::App& root, Program& program);

void add_batch(CLI::App& root, Program& program);
void add_bench(CLI::App& root, Program& program);
void add_chat(CLI::App& root, Program& program);
void add_completion(CLI::App& root, Program& program);
void add_data(CLI::App& root, Program& program);
void add_dpo(CLI::App& root, Program& program);
void add_doctor(CLI::App& root, Program& program);
void add_eval(CLI::App& root, Program& program);
void add_export(CLI::App& root, Program& program);
void add_help(CLI::App& root, Program& program);
void add_inspect(CLI::App& root, Program& program);
void add_man(CLI::App& root, Program& program);
void add_report(CLI::App& root, Program& program);
void add_serve(CLI::App& root, Program& program);
void add_sft(CLI::App& root, Program& program);
void add_merge(CLI::App& root, Program& program);
void add_run(CLI::App& root, Program& program);
void add_think(CLI::App& root, Program& program);
void add_tokenize(CLI::App& root, Program& program);
void add_tokenizer(CLI::App& root, Program& program);
void add_train(CLI::App& root, Program& program);

}  // namespace nautile::app
