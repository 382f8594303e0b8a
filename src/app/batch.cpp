// batch.cpp — the verb `batch`: answers a file of requests by the endpoints that `serve` has.
#include <memory>

#include "app/output.h"
#include "app/program.h"
#include "app/progress_line.h"
#include "app/served_models.h"
#include "server/batch_runner.h"

namespace nautile::app {
namespace {

using server::BatchCounts;
using server::BatchRunner;

struct BatchOptions {
  std::string in, out;
  std::string name;  // of the model in requests; else the file's
  std::string dialect = "openai";
  ModelChoice choice;
  ServingOptions serving;
};

class NoMeter : public server::Meter {
 public:
  void ended(const server::RequestRecord&) override {}
};

ExitCode batch(const BatchOptions& options, const Environment& environment) {
  server::Metrics metrics;
  server::JsonLog log(-1);
  NamedChoice model{options.name, reachable(options.choice, environment)};
  model.choice.path = model_path(model.choice, environment);
  if (model.name.empty()) model.name = model_title(model.choice.path);
  ServedModels models({model}, options.serving, environment, metrics, log);
  NoMeter meter;
  server::ApiOptions api_options;
  if (options.dialect == "deepseek") api_options.dialect = server::Dialect::deepseek;
  server::Api api(models, api_options, meter);

  const CatchInterrupt interrupt;
  ProgressLine progress(environment, "answering");
  const BatchRunner runner(api.routes(), static_cast<std::size_t>(options.serving.parallel));
  const BatchCounts counts = runner.run(options.in, options.out, [&](const BatchCounts& now) {
    progress.update(now.before + now.done, now.all);
    return interrupt.happened() ? BatchRunner::Going::stop : BatchRunner::Going::on;
  });
  write_output(fmt::format(
      "{} of {} requests answered in {}{}\n", counts.before + counts.done, counts.all, options.out,
      counts.refused == 0 ? std::string()
                          : fmt::format("; {} of them with an error", counts.refused)));
  if (interrupt.happened()) throw Interrupted();
  return ExitCode::ok;
}

}  // namespace

void add_batch(CLI::App& root, Program& program) {
  const auto options = std::make_shared<BatchOptions>();
  CLI::App* verb = add_verb(root, program, "batch", "Answer a file of requests, without a server",
                            options, batch);
  verb->add_option("IN", options->in,
                   "Requests, one a line, in the format of OpenAI's batches: custom_id, method, "
                   "url, body")
      ->type_name("FILE")
      ->required();
  verb->add_option("OUT", options->out,
                   "Where answers go; those that are there already are not asked for again")
      ->type_name("FILE")
      ->required();
  verb->add_option("--name", options->name,
                   "What requests call the model (default: its file's name)")
      ->type_name("NAME")
      ->group("Model");
  verb->add_option("--dialect", options->dialect,
                   "Habits of the OpenAI endpoints: openai or deepseek")
      ->type_name("NAME")
      ->check(CLI::IsMember({"openai", "deepseek"}));
  verb->add_option("--parallel", options->serving.parallel, "Answers computed at once (default 64)")
      ->type_name("N")
      ->check(CLI::Range(1, 4096))
      ->group("Engine");
  add_model_path(*verb, options->choice);
  add_context_options(*verb, options->choice);
  add_machine_options(*verb, options->choice);
}

}  // namespace nautile::app
