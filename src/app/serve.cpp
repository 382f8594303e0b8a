// serve.cpp — the verb `serve`: gives models to programs and people over HTTP.
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <ctime>
#include <filesystem>

#include "app/output.h"
#include "app/program.h"
#include "app/serve_endpoints.h"
#include "app/served_models.h"
#include "base/file.h"
#include "model/peft.h"
#include "server/http_server.h"

namespace nautile::app {
namespace {

using server::HttpServer;
using server::JsonLog;
using server::Metrics;

// Seconds after the grace in which what was cancelled tells its client.
constexpr double kFarewell = 1.5;
// Descriptors for files, models and the listener, beside connections.
constexpr rlim_t kOwnDescriptors = 64;

struct ServeOptions {
  std::string model;                // positional
  std::vector<std::string> models;  // [NAME=]PATH
  std::vector<std::string> adapters;
  ModelChoice choice;
  ServingOptions serving;
  server::ServerOptions server;
  std::string key_file, dialect = "openai", disk_bytes = "10GB", max_memory;
  std::vector<std::string> allow_hosts, origins;
  double grace = 30, keep_alive = 10;
  bool insecure = false, log_prompts = false, no_page = false;
};

// "512MB", "10GB": powers of 1000; a plain number is bytes.
std::uint64_t bytes_of(const std::string& text, const char* option) {
  double value = 0;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  std::string unit(stop, end);
  std::transform(unit.begin(), unit.end(), unit.begin(),
                 [](char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c; });
  double scale = 0;
  static constexpr std::pair<const char*, double> kUnits[] = {
      {"", 1}, {"B", 1}, {"KB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"TB", 1e12}};
  for (const auto& [name, factor] : kUnits) {
    if (unit == name) scale = factor;
  }
  if (error != std::errc() || scale == 0 || !(value >= 0) || value * scale > 1e18) {
    fail(ErrorKind::usage, "{} is '{}': expected bytes, like 500MB or 10GB", option, text);
  }
  return static_cast<std::uint64_t>(value * scale);
}

// "NAME=PATH" in two; no name if there is none before the first '='.
std::pair<std::string, std::string> name_and_path(const std::string& text) {
  const std::size_t mark = text.find('=');
  if (mark == text.npos || text.find('/') < mark) return {"", text};
  return {text.substr(0, mark), text.substr(mark + 1)};
}

std::vector<NamedChoice> models_of(const ServeOptions& options, const Environment& environment) {
  std::vector<std::string> named = options.models;
  if (!options.model.empty()) named.insert(named.begin(), options.model);
  if (named.empty()) named.emplace_back();
  std::vector<NamedChoice> models;
  for (const std::string& text : named) {
    auto [name, path] = name_and_path(text);
    NamedChoice model{std::move(name), options.choice};
    model.choice.path = path;
    model.choice = reachable(model.choice, environment);
    // Says now, not at the first request, what is not there.
    model.choice.path = model_path(model.choice, environment);
    if (model.name.empty()) model.name = model_title(model.choice.path);
    models.push_back(std::move(model));
  }
  for (const std::string& text : options.adapters) {
    auto [name, path] = name_and_path(text);
    if (name.empty()) name = model_title(path);
    std::error_code ignored;
    if (!std::filesystem::exists(std::filesystem::path(path) / kPeftConfig, ignored)) {
      throw make_error(ErrorKind::failure, "there is no adapter at {}", path)
          .hint("--adapter takes a folder with {} and {}", kPeftConfig, kPeftWeights);
    }
    NamedChoice adapted{std::move(name), models.front().choice, models.front().name};
    adapted.choice.lora = path;
    models.push_back(std::move(adapted));
  }
  return models;
}

std::string key_text(const std::string& path) {
  try {
    return read_file(path, std::size_t{1} << 20);
  } catch (const Error& error) {
    throw error.with("while reading the keys that --api-keys names");
  }
}

server::GateOptions gate_options(const ServeOptions& options, const Environment& environment) {
  server::GateOptions gate;
  if (!options.key_file.empty()) {
    gate.keys.add(key_text(options.key_file), options.key_file);
  }
  if (environment.api_keys) gate.keys.add(*environment.api_keys, "NAUTILE_API_KEYS");
  const std::string listen = server::host_name(options.server.host);
  if (!server::is_loopback_name(listen) && gate.keys.empty() && !options.insecure) {
    throw make_error(ErrorKind::usage, "--host {} lets others in, and there is no API key",
                     options.server.host)
        .hint(
            "--api-keys FILE or NAUTILE_API_KEYS names those who may ask; --insecure lets "
            "everybody");
  }
  gate.hosts = options.allow_hosts;
  gate.hosts.push_back(listen);
  if (char name[256]; !server::is_loopback_name(listen) && gethostname(name, sizeof name) == 0) {
    name[sizeof name - 1] = '\0';
    gate.hosts.push_back(server::host_name(name));
  }
  gate.origins = options.origins;
  return gate;
}

// As many connections as the system lets us have.
void raise_connections(server::Limits& limits) {
  rlimit files{};
  if (getrlimit(RLIMIT_NOFILE, &files) != 0) return;
  const rlim_t wanted = limits.connections + kOwnDescriptors;
  if (files.rlim_cur < wanted) {
    files.rlim_cur = std::min(files.rlim_max, wanted);
    setrlimit(RLIMIT_NOFILE, &files);
  }
  const rlim_t room =
      files.rlim_cur > 2 * kOwnDescriptors ? files.rlim_cur - kOwnDescriptors : files.rlim_cur / 2;
  limits.connections = std::min<std::size_t>(limits.connections, room);
}

// What an engine cannot take is refused before it is tokenized, so that a crowd hears it at once.
server::ApiOptions api_options(const ServeOptions& options) {
  constexpr std::int64_t kLeastWaiting = 64;
  server::ApiOptions api;
  if (options.dialect == "deepseek") api.dialect = server::Dialect::deepseek;
  api.keep_alive_seconds = options.keep_alive;
  api.waiting = static_cast<std::size_t>(
      std::max(kLeastWaiting, options.serving.queue + options.serving.parallel));
  return api;
}

// SIGINT and SIGTERM wait until they are asked for, on every thread begun from here on.
class HeldSignals {
 public:
  HeldSignals() {
    sigemptyset(&set_);
    sigaddset(&set_, SIGINT);
    sigaddset(&set_, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &set_, &before_);
  }
  ~HeldSignals() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  HeldSignals(const HeldSignals&) = delete;
  HeldSignals& operator=(const HeldSignals&) = delete;

  // Whether one has come, or comes within `seconds`.
  bool wait(double seconds) {
    const auto whole = static_cast<std::time_t>(seconds);
    const timespec time{whole, static_cast<long>((seconds - static_cast<double>(whole)) * 1e9)};
    return sigtimedwait(&set_, nullptr, &time) > 0;
  }

 private:
  sigset_t set_, before_;
};

// The first model is loaded before anybody asks; false if a signal comes before it is.
bool load_first(ServedModels& models, const std::string& name, HeldSignals& signals) {
  models.get(name, [](server::Models::Got) {});
  for (;;) {
    if (models.list().front().state == server::ModelEntry::State::loaded) return true;
    models.rethrow_failure(name);
    if (signals.wait(0.02)) return false;
  }
}

// Waits until no answer is under way; a second signal ends the program.
bool wait_idle(HttpServer& http, HeldSignals& signals, JsonLog& log, double seconds) {
  constexpr double kStep = 0.05;
  for (double waited = 0; waited < seconds; waited += kStep) {
    if (http.wait_idle(kStep)) return true;
    if (signals.wait(0)) {
      log.write("ended", {{"why", "a second signal"}});
      std::_Exit(0);
    }
  }
  return http.wait_idle(0);
}

ExitCode serve(const ServeOptions& given, const Environment& environment) {
  ServeOptions options = given;
  if (options.server.certificate.empty() != options.server.key.empty()) {
    fail(ErrorKind::usage, "--tls-cert and --tls-key belong together");
  }
  options.serving.disk_bytes = bytes_of(options.disk_bytes, "--disk-cache-bytes");
  if (!options.max_memory.empty()) {
    options.serving.max_memory = bytes_of(options.max_memory, "--max-memory");
  }
  server::GateOptions let_in = gate_options(options, environment);
  raise_connections(options.server.limits);
  if (options.log_prompts) options.server.prompts = server::ServerOptions::Prompts::logged;

  HeldSignals signals;
  Metrics metrics;
  JsonLog log(STDERR_FILENO);
  std::vector<NamedChoice> choices = models_of(options, environment);
  const std::string first = choices.front().name;
  ServedModels models(std::move(choices), options.serving, environment, metrics, log);
  ServeState state;
  ServeEndpoints endpoints(models, metrics, log, state, api_options(options));
  HttpServer http(options.server,
                  server::Gate(endpoints.list(options.no_page ? PageShown::no : PageShown::yes),
                               std::move(let_in)),
                  metrics, log);
  endpoints.watch(http);
  log.write("listening", {{"url", http.url()}});
  if (!load_first(models, first, signals)) return ExitCode::ok;
  state.phase = ServeState::Phase::ok;
  write_output(fmt::format("nautile serves {} at {}\n", first, http.url()));

  while (!signals.wait(3600)) {
  }
  log.write("draining", {{"answering", http.counts().answering}, {"grace", options.grace}});
  state.phase = ServeState::Phase::draining;
  models.drain();
  http.drain();
  if (!wait_idle(http, signals, log, options.grace)) {
    log.write("cancelling", {{"answering", http.counts().answering}});
    models.fail_all("the server is shutting down");
    wait_idle(http, signals, log, kFarewell);
  }
  http.stop();
  endpoints.cancel_all();
  log.write("ended", {{"why", "a signal"}});
  return ExitCode::ok;
}

// An option that may be given again and again, one value each time: what follows that is not its
// own.
CLI::Option* repeated(CLI::Option* option) {
  return option->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)
      ->allow_extra_args(false);
}

void add_network_options(CLI::App& verb, ServeOptions& options) {
  const auto add = [&](const char* name, auto& value, const char* help, const char* type) {
    return verb.add_option(name, value, help)->type_name(type)->group("Network");
  };
  add("--host", options.server.host, "Address to listen at (default 127.0.0.1)", "ADDRESS");
  options.server.port = 8080;
  add("--port", options.server.port, "Port (default 8080; 0: any that is free)", "N")
      ->check(CLI::Range(0, 65535));
  add("--tls-cert", options.server.certificate, "Certificate chain for TLS, PEM", "FILE");
  add("--tls-key", options.server.key, "Its key, PEM", "FILE");
  add("--api-keys", options.key_file, "Keys that are let in, one a line: name:key", "FILE");
  verb.add_flag("--insecure", options.insecure, "Let everybody in, from other machines, too")
      ->group("Network");
  repeated(add("--allow-host", options.allow_hosts,
               "A name by which clients may call this server, besides localhost, addresses and "
               "--host; '*': any",
               "NAME"));
  repeated(add("--cors", options.origins, "An origin whose pages may ask this server; '*': any",
               "ORIGIN"));
  add("--io-threads", options.server.threads, "Threads that read and write (default 2)", "N")
      ->check(CLI::Range(1, 64));
  add("--grace", options.grace, "Seconds that answers may still take after SIGTERM (default 30)",
      "SECONDS")
      ->check(CLI::Range(0.0, 86400.0));
  add("--keep-alive", options.keep_alive,
      "Seconds without a token after which a stream gets a comment (default 10)", "SECONDS")
      ->check(CLI::Range(0.1, 3600.0));
  verb.add_flag("--log-prompts", options.log_prompts, "Write what clients send into the log")
      ->group("Network");
  verb.add_flag("--no-page", options.no_page, "Do not serve the page for browsers")
      ->group("Network");
  add("--dialect", options.dialect, "Habits of the OpenAI endpoints: openai or deepseek", "NAME")
      ->check(CLI::IsMember({"openai", "deepseek"}));
}

void add_engine_options(CLI::App& verb, ServeOptions& options) {
  const auto add = [&](const char* name, auto& value, const char* help, const char* type) {
    return verb.add_option(name, value, help)->type_name(type)->group("Engine");
  };
  add("--parallel", options.serving.parallel, "Answers computed at once (default 64)", "N")
      ->check(CLI::Range(1, 4096));
  add("--queue", options.serving.queue, "Answers that may wait besides (default 256); more get 429",
      "N")
      ->check(CLI::Range(0, 1'000'000));
  add("--kv-tokens", options.serving.kv_tokens,
      "Tokens of cache for all answers (default 65536 or four contexts, as memory allows)", "N")
      ->check(CLI::Range(std::int64_t{64}, std::int64_t{1} << 40));
  add("--disk-cache", options.serving.disk_cache, "Keep computed prefixes in this folder", "PATH");
  add("--disk-cache-bytes", options.disk_bytes, "What it may take (default 10GB)", "BYTES");
  add("--max-memory", options.max_memory, "What all models may take (default: what is available)",
      "BYTES");
  add("--idle-unload", options.serving.idle_seconds,
      "Unload a model that nobody used for so long (default 0: never)", "SECONDS")
      ->check(CLI::Range(0.0, 1e9));
}

}  // namespace

void add_serve(CLI::App& root, Program& program) {
  const auto options = std::make_shared<ServeOptions>();
  CLI::App* verb =
      add_verb(root, program, "serve", "Give models to programs over HTTP", options, serve);
  verb->add_option("MODEL", options->model, "Model, as `chat -m` takes it; else the default")
      ->type_name("PATH");
  repeated(verb->add_option("-m,--model", options->models,
                            "A model under a name of its own; several are loaded as they are "
                            "asked for"))
      ->type_name("[NAME=]PATH")
      ->group("Model");
  repeated(verb->add_option("--adapter", options->adapters,
                            "The first model with an adapter (LoRA), as a model of that name"))
      ->type_name("[NAME=]PATH")
      ->group("Model");
  add_mirror_option(*verb, options->choice);
  add_context_options(*verb, options->choice);
  add_engine_options(*verb, *options);
  add_network_options(*verb, *options);
  add_machine_options(*verb, options->choice);
}

}  // namespace nautile::app
