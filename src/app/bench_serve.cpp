#include "app/bench_serve.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "app/load_prompt.h"
#include "app/load_report.h"
#include "app/load_run.h"
#include "app/output.h"
#include "app/progress_line.h"
#include "base/file.h"
#include "base/json.h"

namespace nautile::app {
namespace {

using Json = nlohmann::ordered_json;

constexpr int kMostClients = 100'000;

struct BenchServeOptions {
  std::string url = "http://127.0.0.1:8080";
  std::string model;  // else the first that the server lists
  std::string endpoint = "chat";
  std::string key_file;
  std::vector<int> clients{1, 4, 16};
  int requests = 0;  // else four for each client, and eight at least
  LoadPromptShape prompt;
  int max_tokens = 128;
  double temperature = 0, timeout = 600;
  int warm_up = 1;
  bool ignore_eos = false, as_json = false;
};

class BenchServe {
 public:
  BenchServe(const BenchServeOptions& options, const Environment& environment)
      : options_(options), environment_(environment), target_(parse_target(options.url)) {
    if (!options.key_file.empty()) key_ = read_key(options.key_file);
    model_ = options.model.empty() ? first_model() : options.model;
  }

  std::vector<LoadReport> run() {
    if (options_.warm_up > 0) measure(1, options_.warm_up, "warming up");
    std::vector<LoadReport> reports;
    for (const int clients : options_.clients) {
      const int requests = options_.requests > 0 ? options_.requests : std::max(8, 4 * clients);
      reports.push_back(measure(clients, requests, fmt::format("{} clients", clients)));
    }
    return reports;
  }

  const std::string& model() const { return model_; }
  std::string path() const {
    return options_.endpoint == "chat" ? "/v1/chat/completions" : "/v1/completions";
  }
  std::string url() const { return "http://" + target_.authority() + target_.prefix; }

 private:
  static std::string read_key(const std::string& path) {
    std::string key = read_file(path);
    while (!key.empty() && (key.back() == '\n' || key.back() == '\r')) key.pop_back();
    if (key.empty() || key.find_first_of("\r\n") != key.npos) {
      fail(ErrorKind::usage, "--api-key-file {}: expected one line, the key", path);
    }
    return key;
  }

  LoadRun ask(std::vector<LoadRequest> requests, int clients, const std::string& task) {
    const std::size_t all = requests.size();
    LoadPlan plan{target_, key_, std::move(requests), clients, options_.timeout};
    ProgressLine line(environment_, task);
    return run_load(plan, [&](std::size_t done) {
      if (interrupt_.happened()) throw Interrupted();
      line.update(static_cast<std::int64_t>(done), static_cast<std::int64_t>(all));
    });
  }

  std::string first_model() {
    const LoadAnswer answer =
        ask({{"GET", "/v1/models", ""}}, 1, "asking for models").answers.at(0);
    if (answer.status == 0) {
      throw make_error(ErrorKind::failure, "nothing answers at {}: {}", url(), answer.error)
          .hint("`nautile serve` starts a server; --url says where it is");
    }
    if (!answer.good()) {
      fail(ErrorKind::failure, "{}/v1/models answers with status {}: {}", url(), answer.status,
           answer.error.empty() ? answer.body.substr(0, 300) : answer.error);
    }
    const nlohmann::json body = parse_json(answer.body, url() + "/v1/models");
    const nlohmann::json& list = json_member(body, "data", url() + "/v1/models");
    if (!list.is_array() || list.empty()) fail(ErrorKind::failure, "{} lists no model", url());
    const nlohmann::json& id = json_member(list[0], "id", "the first model");
    if (!id.is_string()) fail(ErrorKind::bad_input, "the first model's id is no string");
    return id;
  }

  LoadRequest request(std::uint64_t index) const {
    const std::string prompt = load_prompt(options_.prompt, index);
    Json body = {{"model", model_},
                 {"stream", true},
                 {"stream_options", {{"include_usage", true}}},
                 {"max_tokens", options_.max_tokens},
                 {"temperature", options_.temperature}};
    if (options_.endpoint == "chat") {
      body["messages"] = Json::array({{{"role", "user"}, {"content", prompt}}});
    } else {
      body["prompt"] = prompt;
    }
    if (options_.ignore_eos) body["ignore_eos"] = true;
    return {"POST", path(), body.dump()};
  }

  LoadReport measure(int clients, int count, const std::string& task) {
    std::vector<LoadRequest> requests;
    for (int i = 0; i < count; ++i) requests.push_back(request(asked_++));
    return load_report(ask(std::move(requests), clients, task), clients);
  }

  const BenchServeOptions& options_;
  const Environment& environment_;
  LoadTarget target_;
  std::string key_, model_;
  std::uint64_t asked_ = 0;  // no two requests have the same own words
  CatchInterrupt interrupt_;
};

void print_report(const BenchServe& bench, const BenchServeOptions& options,
                  const std::vector<LoadReport>& reports) {
  if (options.as_json) {
    Json json = {{"url", bench.url()},        {"endpoint", bench.path()},
                 {"model", bench.model()},    {"shared", options.prompt.shared},
                 {"own", options.prompt.own}, {"max_tokens", options.max_tokens},
                 {"runs", Json::array()}};
    for (const LoadReport& report : reports) json["runs"].push_back(load_json(report));
    write_output(json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n");
    return;
  }
  std::string text = fmt::format("{}{}, {}: {} shared and {} own words", bench.url(), bench.path(),
                                 bench.model(), options.prompt.shared, options.prompt.own);
  if (!reports.empty() && reports.back().prompt_tokens >= 0) {
    text += fmt::format(" ({:.0f} tokens", reports.back().prompt_tokens);
    if (reports.back().cached_tokens >= 0)
      text += fmt::format(", {:.0f} of them cached", reports.back().cached_tokens);
    text += ")";
  }
  write_output(text + fmt::format(", {} tokens of answer\n\n", options.max_tokens) +
               load_table(reports));
}

ExitCode bench_serve(const BenchServeOptions& options, const Environment& environment) {
  BenchServe bench(options, environment);
  const std::vector<LoadReport> reports = bench.run();
  print_report(bench, options, reports);
  const bool answered = std::any_of(reports.begin(), reports.end(),
                                    [](const LoadReport& report) { return report.good > 0; });
  return answered ? ExitCode::ok : ExitCode::failure;
}

}  // namespace

void add_bench_serve(CLI::App& bench, Program& program) {
  const auto options = std::make_shared<BenchServeOptions>();
  CLI::App* verb =
      add_verb(bench, program, "serve", "Measure a server under the load of many clients", options,
               bench_serve);
  const auto add = [&](const char* name, auto& value, const char* help, const char* type) {
    return verb->add_option(name, value, help)->type_name(type);
  };
  add("--url", options->url,
      "Any server of OpenAI's API, over http (default http://127.0.0.1:8080)", "URL");
  add("-c,--clients", options->clients, "Clients at once, one run each (default 1,4,16)", "N,…")
      ->delimiter(',')
      ->check(CLI::Range(1, kMostClients));
  add("-r,--requests", options->requests,
      "Requests of a run (default: 4 for each client, 8 at least)", "N")
      ->check(CLI::Range(1, 10'000'000));
  add("--shared", options->prompt.shared, "Words of a prompt that all have (default 150)", "N")
      ->check(CLI::Range(0, 10'000'000));
  add("--own", options->prompt.own, "Words of a prompt that no other has (default 50)", "N")
      ->check(CLI::Range(1, 10'000'000));
  add("-n,--max-tokens", options->max_tokens, "Tokens of an answer at most (default 128)", "N")
      ->check(CLI::Range(1, 10'000'000));
  add("--endpoint", options->endpoint, "chat or completions (default chat)", "NAME")
      ->check(CLI::IsMember({"chat", "completions"}));
  add("--model", options->model, "Model to ask for (default: the first that is listed)", "NAME");
  add("--temperature", options->temperature, "Temperature of sampling (default 0)", "T")
      ->check(CLI::Range(0.0, 2.0));
  verb->add_flag("--ignore-eos", options->ignore_eos,
                 "Ask for answers that do not end before --max-tokens; not of OpenAI's API");
  add("--seed", options->prompt.seed, "Other words (default 1)", "N");
  add("--warm-up", options->warm_up, "Requests before the first run (default 1)", "N")
      ->check(CLI::Range(0, 1'000'000));
  add("--timeout", options->timeout, "Seconds that one answer may take (default 600)", "SECONDS")
      ->check(CLI::Range(0.001, 1e6));
  add("--api-key-file", options->key_file, "File with the key to show", "PATH");
  verb->add_flag("--json", options->as_json, "Print JSON");
}

}  // namespace nautile::app
