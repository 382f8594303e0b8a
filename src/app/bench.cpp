// bench.cpp — the verb `bench`: tokens per second, beside what this machine could do at most.
#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>
#include <random>

#include "app/bench_serve.h"
#include "app/loaded_model.h"
#include "app/machine.h"
#include "app/program.h"
#include "app/progress_line.h"
#include "model/model_facts.h"

namespace nautile::app {
namespace {

struct BenchOptions {
  ModelChoice model;
  std::vector<std::int64_t> prompts{512}, depths{0};
  std::int64_t decode = 64;
  int repeats = 5;
  bool as_json = false;
};

struct Ceiling {
  ComputeClass compute;
  Format format;                // of most of the weights
  double bytes = 0, flops = 0;  // per second
};

// One line of the report.
struct Case {
  enum class Kind : std::uint8_t { prefill, decode } kind;
  std::int64_t tokens, depth;
  std::vector<double> seconds;  // sorted
  double flops = 0, bytes = 0;  // of all its tokens

  double median() const {
    const std::size_t half = seconds.size() / 2;
    return seconds.size() % 2 ? seconds[half] : (seconds[half - 1] + seconds[half]) / 2;
  }
  double speed(double time) const { return static_cast<double>(tokens) / time; }
};

// Bytes of weights that one decoded token reads, as they lie in the file.
double active_weight_bytes(LoadedModel& model) {
  const ModelConfig& config = model.config();
  const double chosen =
      config.moe.route.experts > 0
          ? static_cast<double>(config.moe.route.chosen) / config.moe.route.experts
          : 1;
  const std::string first_module = "layers." + std::to_string(config.layers) + ".";
  double bytes = 0;
  bool in_modules = false;
  model.model->weights().visit(config, [&](const SlotInfo& info, Slot& slot) {
    in_modules = in_modules || info.name.starts_with(first_module);
    if (in_modules || !slot.present()) return;
    if (info.role == Role::embedding && config.head == ModelConfig::Head::own) return;
    const bool expert = info.name.find(".experts.") != info.name.npos;
    bytes += (expert ? chosen : 1) *
             static_cast<double>(slot.weight.bytes() + slot.weight.scale_bytes());
  });
  return bytes;
}

class Bench {
 public:
  Bench(const BenchOptions& options, const Environment& environment, LoadedModel& model)
      : options_(options),
        environment_(environment),
        model_(model),
        facts_(facts_of(model.config())),
        session_(*model.model, *model.backend, model.session),
        weight_bytes_(active_weight_bytes(model)),
        kv_bytes_(static_cast<double>(
            engine::KvPages::bytes_per_token(model.config(), model.session.kv_format))),
        random_(1) {}

  std::vector<Case> run() {
    std::vector<Case> cases;
    const auto each = static_cast<std::int64_t>(options_.prompts.size()) + (options_.decode > 0);
    const std::int64_t all =
        static_cast<std::int64_t>(options_.depths.size()) * each * (options_.repeats + 1);
    std::int64_t done = 0;
    ProgressLine line(environment_, "measuring");
    for (const std::int64_t depth : options_.depths) {
      fill(depth);
      for (const std::int64_t tokens : options_.prompts) {
        cases.push_back(measure({Case::Kind::prefill, tokens, depth, {}}, line, done, all));
      }
      if (options_.decode > 0) {
        cases.push_back(measure({Case::Kind::decode, options_.decode, depth, {}}, line, done, all));
      }
    }
    return cases;
  }

 private:
  std::vector<TokenId> random_tokens(std::int64_t count) {
    std::uniform_int_distribution<TokenId> any(0, model_.config().vocabulary - 1);
    std::vector<TokenId> tokens(static_cast<std::size_t>(count));
    for (TokenId& token : tokens) token = any(random_);
    return tokens;
  }

  engine::Session::Go keep_going() const {
    if (interrupt_.happened()) throw Interrupted();
    return engine::Session::Go::on;
  }

  void append(std::span<const TokenId> tokens) {
    session_.append(tokens, [this](std::int64_t, std::int64_t) { return keep_going(); });
  }

  void fill(std::int64_t depth) {
    session_.truncate(std::min(depth, session_.size()));
    if (depth > session_.size()) append(random_tokens(depth - session_.size()));
  }

  // One run to warm caches and pages, then those that count.
  Case measure(Case c, ProgressLine& line, std::int64_t& done, std::int64_t all) {
    for (int repeat = -1; repeat < options_.repeats; ++repeat) {
      session_.truncate(c.depth);
      const std::vector<TokenId> tokens = random_tokens(c.tokens);
      const auto start = std::chrono::steady_clock::now();
      if (c.kind == Case::Kind::prefill) {
        append(tokens);
      } else {
        for (const TokenId& token : tokens) append({&token, 1});
      }
      const std::chrono::duration<double> spent = std::chrono::steady_clock::now() - start;
      if (repeat >= 0) c.seconds.push_back(spent.count());
      line.update(++done, all);
    }
    session_.truncate(c.depth);
    std::sort(c.seconds.begin(), c.seconds.end());
    count_work(c);
    return c;
  }

  void count_work(Case& c) const {
    const auto n = static_cast<double>(c.tokens);
    // Token i of them sees depth + i + 1 keys.
    const double pairs = n * static_cast<double>(c.depth) + n * (n + 1) / 2;
    if (c.kind == Case::Kind::prefill) {
      c.flops = n * (facts_.flops_per_token - facts_.head_flops) + facts_.head_flops +
                pairs * facts_.prefill_flops_per_pair;
    } else {
      c.flops = n * facts_.flops_per_token + pairs * facts_.flops_per_past_token;
      c.bytes = n * weight_bytes_ + pairs * kv_bytes_;
    }
  }

  const BenchOptions& options_;
  const Environment& environment_;
  LoadedModel& model_;
  ModelFacts facts_;
  engine::Session session_;
  double weight_bytes_, kv_bytes_;
  std::mt19937 random_;
  CatchInterrupt interrupt_;
};

// Which form of latent attention the first chunk of a case took, and why; "" for other models.
std::string latent_why(const LoadedModel& model, const Case& c) {
  if (model.config().attention.kind != AttentionKind::mla) return "";
  const std::int64_t count =
      c.kind == Case::Kind::prefill ? std::min(c.tokens, model.session.chunk) : 1;
  return choose_mla_form(model.config().attention, model.model->options().mla, count,
                         c.depth + count)
      .why();
}

// The class that most of the weights are multiplied in, and what the machine reaches in it.
Ceiling measure_ceiling(const LoadedModel& model, const CpuOptions& cpu) {
  Format format = Format::f32;
  for (const store::TypeTotal& total : model.checkpoint.store().totals()) {
    if (const auto known = format_by_name(total.dtype)) {
      format = *known;
      break;
    }
    if (total.dtype.starts_with("F8_E4M3")) {
      format = Format::f8_e4m3;
      break;
    }
  }
  const ComputeClass compute = model.backend->compute_class(format);
  return {compute, format, measure_read_bandwidth(cpu.threads),
          measure_peak_flops(cpu.isa, compute, cpu.threads)};
}

void print_json(const LoadedModel& model, const Ceiling& ceiling, const std::vector<Case>& cases) {
  using Json = nlohmann::ordered_json;
  Json json = {{"model", model.path},
               {"backend", model.backend->describe()},
               {"class", name(ceiling.compute)},
               {"load_seconds", model.load_seconds},
               {"ceiling_bytes_per_second", ceiling.bytes},
               {"ceiling_flops", ceiling.flops},
               {"cases", Json::array()}};
  for (const Case& c : cases) {
    Json entry = {{"kind", c.kind == Case::Kind::prefill ? "prefill" : "decode"},
                  {"tokens", c.tokens},
                  {"depth", c.depth},
                  {"seconds", c.seconds},
                  {"tokens_per_second", c.speed(c.median())},
                  {"flops", c.flops / c.median()}};
    if (c.bytes > 0) entry["bytes_per_second"] = c.bytes / c.median();
    if (const std::string why = latent_why(model, c); !why.empty()) entry["latent_form"] = why;
    json["cases"].push_back(entry);
  }
  fmt::print("{}\n", json.dump(2, ' ', false, Json::error_handler_t::replace));
}

void print_text(const LoadedModel& model, const Ceiling& ceiling, const std::vector<Case>& cases) {
  fmt::print("{}, {}, class {} for {}\n", model.title(), model.backend->describe(),
             name(ceiling.compute), info(ceiling.format).name);
  fmt::print("measured here: reads {:.1f} GB/s, {} products {:.0f} GFLOP/s\n\n",
             ceiling.bytes / 1e9, name(ceiling.compute), ceiling.flops / 1e9);
  fmt::print("{:<14} {:>7} {:>11} {:>21} {:>9} {:>6} {:>10} {:>6}\n", "", "depth", "tokens/s",
             "least to most", "GB/s", "%", "GFLOP/s", "%");
  for (const Case& c : cases) {
    const double time = c.median();
    std::string line = fmt::format(
        "{:<14} {:>7} {:>11.1f} {:>21}",
        fmt::format("{} {}", c.kind == Case::Kind::prefill ? "prefill" : "decode", c.tokens),
        c.depth, c.speed(time),
        fmt::format("{:.1f} to {:.1f}", c.speed(c.seconds.back()), c.speed(c.seconds.front())));
    if (c.bytes > 0) {
      line += fmt::format(" {:>9.2f} {:>6.1f}", c.bytes / time / 1e9,
                          100 * c.bytes / time / ceiling.bytes);
    } else {
      line += fmt::format(" {:>9} {:>6}", "", "");
    }
    fmt::print("{} {:>10.1f} {:>6.1f}\n", line, c.flops / time / 1e9,
               100 * c.flops / time / ceiling.flops);
    if (const std::string why = latent_why(model, c); !why.empty())
      fmt::print("{:<14} latent attention {} a layer\n", "", why);
  }
}

ExitCode bench(const BenchOptions& options, const Environment& environment) {
  ModelChoice choice = options.model;
  std::int64_t longest = options.decode;
  for (const std::int64_t tokens : options.prompts) longest = std::max(longest, tokens);
  longest += *std::max_element(options.depths.begin(), options.depths.end());
  choice.context = std::max(choice.context, longest);
  LoadedModel model = load_model(choice, environment);
  const std::vector<Case> cases = Bench(options, environment, model).run();
  const Ceiling ceiling = measure_ceiling(model, cpu_options(choice, environment));
  if (options.as_json) {
    print_json(model, ceiling, cases);
  } else {
    print_text(model, ceiling, cases);
  }
  return ExitCode::ok;
}

}  // namespace

void add_bench(CLI::App& root, Program& program) {
  constexpr std::int64_t kMost = std::int64_t{1} << 30;
  const auto options = std::make_shared<BenchOptions>();
  CLI::App* verb =
      add_verb(root, program, "bench", "Measure tokens per second of a model", options, bench);
  add_model_options(*verb, options->model);
  verb->add_option("-p,--prompt", options->prompts, "Lengths of prompts to read (default 512)")
      ->type_name("N,…")
      ->delimiter(',')
      ->check(CLI::Range(std::int64_t{1}, kMost));
  verb->add_option("-n,--decode", options->decode,
                   "Tokens to write one by one (default 64; 0: none)")
      ->type_name("N")
      ->check(CLI::Range(std::int64_t{0}, kMost));
  verb->add_option("-d,--depth", options->depths, "Tokens that are there before (default 0)")
      ->type_name("N,…")
      ->delimiter(',')
      ->check(CLI::Range(std::int64_t{0}, kMost));
  verb->add_option("-r,--repeats", options->repeats, "Runs of which the median counts (default 5)")
      ->type_name("N")
      ->check(CLI::Range(1, 1000));
  verb->add_flag("--json", options->as_json, "Print JSON");
  add_bench_serve(*verb, program);
}

}  // namespace nautile::app
