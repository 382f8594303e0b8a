// help.cpp — the verb `help`: of a verb, or of a topic.
#include "app/program.h"
#include "app/suggest.h"

namespace nautile::app {
namespace {

struct HelpOptions {
  CLI::App* root = nullptr;
  std::vector<std::string> words;
};

ExitCode help(const HelpOptions& options, const Environment&) {
  const std::string topic = options.words.empty() ? "" : options.words[0];
  const CLI::App* verb = find_verb(*options.root, topic);
  if (verb && options.words.size() > 1) verb = find_verb(*verb, options.words[1]);
  if (topic.empty()) {
    fmt::print("{}", options.root->help());
  } else if (topic == "exit-codes") {
    fmt::print("{}", exit_code_help());
  } else if (topic == "environment") {
    fmt::print("{}", environment_help());
  } else if (verb) {
    fmt::print("{}", verb->help());
  } else {
    std::vector<std::string> topics = verb_names(*options.root);
    topics.insert(topics.end(), {"exit-codes", "environment"});
    throw make_error(ErrorKind::usage, "there is no help on '{}'", fmt::join(options.words, " "))
        .hint("{}", suggestion(topic, topics));
  }
  return ExitCode::ok;
}

}  // namespace

void add_help(CLI::App& root, Program& program) {
  const auto options = std::make_shared<HelpOptions>();
  options->root = &root;
  CLI::App* verb = add_verb(root, program, "help", "Explain a verb or a topic", options, help);
  verb->add_option("topic", options->words,
                   "A verb (of one word or two), exit-codes or environment")
      ->type_name("TOPIC")
      ->expected(0, 2);
}

}  // namespace nautile::app
