// scripted_server_main.cpp — nautile's HTTP server and APIs over an engine that answers from a
// script, for clients whose answers must be known.
//
//   scripted_server SCRIPT [PORT]
//
// Prints its URL, and ends on SIGTERM or SIGINT. SCRIPT is JSON:
//   {"api_key": "at least 8 characters",      (or left out: everybody is let in)
//    "otherwise": "what no rule answers",
//    "rules": [{"when": ["a part", "of the prompt"],   all of them; the first rule that fits
//    answers
//               "say": "text as a model writes it",    or a list: one for each choice, in turn
//               "refuse": 2,                           submissions that find the queue full first
//               "fail": "why"}]}                       the request fails instead
// The models "scripted" and "reasoner" answer alike; the latter's answers begin with reasoning.
#include <pthread.h>
#include <signal.h>

#include <algorithm>
#include <atomic>
#include <charconv>
#include <deque>
#include <iostream>

#include "base/file.h"
#include "server/http_server.h"
#include "server/ops_endpoints.h"
#include "server/server_testing.h"

namespace nautile::server {
namespace {

constexpr std::int64_t kContext = std::int64_t{1} << 17;  // tokens of single bytes
constexpr std::size_t kMostScript = std::size_t{1} << 24;

struct Rule {
  std::vector<std::string> when, say;
  std::string fail;
  int refuse = 0;
  std::atomic<int> refused{0};
};

// Immutable but for what has been refused; safe for concurrent use.
class Script {
 public:
  explicit Script(const std::string& path) {
    const Json json = Json::parse(read_file(path, kMostScript));
    key = json.value("api_key", "");
    rules_.emplace_back().say = {json.at("otherwise")};
    for (const Json& told : json.at("rules")) {
      Rule& rule = rules_.emplace_back();
      rule.when = told.at("when").get<std::vector<std::string>>();
      const Json say = told.value("say", Json(""));
      if (say.is_string()) {
        rule.say = {say};
      } else {
        rule.say = say.get<std::vector<std::string>>();
      }
      rule.fail = told.value("fail", "");
      rule.refuse = told.value("refuse", 0);
    }
  }

  Rule& rule_for(std::string_view prompt) {
    for (std::size_t i = 1; i < rules_.size(); ++i) {
      const auto& when = rules_[i].when;
      const auto stands = [&](const std::string& part) {
        return prompt.find(part) != std::string_view::npos;
      };
      if (std::all_of(when.begin(), when.end(), stands)) return rules_[i];
    }
    return rules_[0];
  }

  std::string key;

 private:
  std::deque<Rule> rules_;  // the first: otherwise
};

// An EchoEngine that finds its queue full as often as the script says.
class RefusingEngine : public engine::Engine {
 public:
  RefusingEngine(engine::Engine& inner, const Tokenizer& tokenizer, Script& script)
      : inner_(inner), tokenizer_(tokenizer), script_(script) {}

  engine::Admission submit(engine::Request request, engine::EventSink sink) override {
    Rule& rule = script_.rule_for(tokenizer_.decode(request.prompt, SkipSpecial::no));
    if (rule.refused.load() < rule.refuse && rule.refused.fetch_add(1) < rule.refuse) {
      engine::Admission admission;
      admission.kind = engine::Admission::Kind::queue_full;
      admission.retry_after = 1;
      return admission;
    }
    return inner_.submit(std::move(request), std::move(sink));
  }
  void cancel(engine::RequestId id) override { inner_.cancel(id); }
  void drain() override { inner_.drain(); }
  engine::Admission foresee(std::int64_t ahead) const override { return inner_.foresee(ahead); }
  engine::EngineCounts counts() const override { return inner_.counts(); }
  std::int64_t context() const override { return inner_.context(); }

 private:
  engine::Engine& inner_;
  const Tokenizer& tokenizer_;
  Script& script_;
};

// A model of that name; the tokenizer of `echo` reads prompts back.
struct ScriptedModel {
  ScriptedModel(Script& script, const char* chat_template, const char* name)
      : echo(options(script), chat_template, name), refusing(echo.engine, echo.tokenizer, script) {
    echo.served->engine = &refusing;
  }

  EchoOptions options(Script& script) {
    EchoOptions options;
    options.context = kContext;
    options.answer = [this, &script](const engine::Request& request, int choice) {
      const Rule& rule = script.rule_for(echo.tokenizer.decode(request.prompt, SkipSpecial::no));
      if (!rule.fail.empty()) fail(ErrorKind::failure, "{}", rule.fail);
      return rule.say[static_cast<std::size_t>(choice) % rule.say.size()];
    };
    return options;
  }

  EchoModel echo;
  RefusingEngine refusing;
};

class NoMeter : public Meter {
  void ended(const RequestRecord&) override {}
};

std::vector<Endpoint> endpoints(Metrics& metrics, const Api& api) {
  std::vector<Endpoint> all =
      ops_endpoints(metrics, {[] { return std::string("ok"); }, [](std::string&) {}});
  for (const Route& route : api.routes()) {
    Endpoint endpoint{route.method, route.path, route.handler};
    if (route.method == "POST" && !route.path.starts_with("/api/")) endpoint.body = BodyType::json;
    endpoint.log = Endpoint::Log::handler;
    all.push_back(std::move(endpoint));
  }
  return all;
}

void serve(const std::string& script_path, std::uint16_t port) {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);

  Script script(script_path);
  NoMeter meter;
  ScriptedModel scripted(script, kTestTemplate, "scripted");
  ScriptedModel reasoner(script, kReasoningTemplate, "reasoner");
  FixedModels models({scripted.echo.served, reasoner.echo.served});
  ApiOptions api_options;
  api_options.version = "test";
  Api api(models, api_options, meter);
  Metrics metrics;
  JsonLog log(-1);
  GateOptions gate;
  if (!script.key.empty()) gate.keys.add(script.key, "api_key");
  ServerOptions options;
  options.port = port;
  HttpServer http(options, Gate(endpoints(metrics, api), std::move(gate)), metrics, log);
  std::cout << http.url() << std::endl;
  int signal = 0;
  sigwait(&signals, &signal);
  http.stop();
  api.cancel_all();
}

}  // namespace
}  // namespace nautile::server

int main(int argc, char** argv) {
  std::uint16_t port = 0;
  const std::string_view text = argc > 2 ? argv[2] : "0";
  const auto read = std::from_chars(text.data(), text.data() + text.size(), port);
  if (argc < 2 || argc > 3 || read.ec != std::errc() || *read.ptr != '\0') {
    std::cerr << "expected: scripted_server SCRIPT [PORT]\n";
    return 2;
  }
  try {
    nautile::server::serve(argv[1], port);
  } catch (const std::exception& error) {
    std::cerr << "scripted_server: " << error.what() << '\n';
    return 1;
  }
  return 0;
}
