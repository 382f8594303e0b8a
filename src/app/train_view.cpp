#include "app/train_view.h"

#include <nlohmann/json.hpp>

#include "app/loaded_model.h"
#include "app/printer.h"
#include "model/model_facts.h"

namespace nautile::app {
namespace {

using Json = nlohmann::ordered_json;
using train::Recipe;
using train::RunCost;
using train::TrainingFlops;
using train::TrainingMemory;

bool trains_mtp(const Recipe& recipe) {
  if (recipe.model.mtp_layers == 0) return false;
  for (const train::StepValue& value : recipe.trainer.schedule.mtp_lambda) {
    if (value.value > 0) return true;
  }
  return false;
}

// All of the plan's numbers, once.
struct PlanNumbers {
  explicit PlanNumbers(const Plan& plan)
      : facts(facts_of(plan.recipe.model)),
        span(train::mean_span(plan.recipe)),
        flops_per_token(train::training_flops(plan.recipe.model)
                            .mean_per_token(span, trains_mtp(plan.recipe)
                                                      ? TrainingFlops::Mtp::on
                                                      : TrainingFlops::Mtp::off)),
        memory(train::training_memory(plan.recipe, plan.ranks)),
        cost(train::run_cost(plan.recipe, span, plan.peak_flops)) {}

  ModelFacts facts;
  double span, flops_per_token;
  TrainingMemory memory;
  RunCost cost;
};

void print_memory(const TrainingMemory& m, const Plan& plan) {
  const double available = plan.available_bytes;
  const auto line = [](const char* what, double bytes, const std::string& note) {
    if (bytes > 0) fmt::print("  {:<16} {:>10}  {}\n", what, bytes_text(bytes), note);
  };
  if (plan.ranks == 1) {
    fmt::print("memory of one process\n");
  } else {
    fmt::print("memory of the first of {} processes, which writes the checkpoints", plan.ranks);
    const int groups = plan.recipe.trainer.expert_ranks;
    fmt::print("; {}\n", groups > 1 ? fmt::format("experts are spread over {}", groups)
                                    : std::string("each has all experts"));
  }
  line("masters", m.masters, plan.ranks > 1 ? "F32, of what it moves" : "F32");
  line("copies", m.copies, "what the model multiplies");
  line("gradients", m.gradients,
       fmt::format("F32, {} buffers for the tree of slots{}", m.tree_levels,
                   plan.ranks > 1 ? ", and the sum of what it moves" : ""));
  line("moments", m.moments, "of the optimizer");
  line("mean", m.mean, "of the masters");
  line("activations", m.activations, "of one slot, at most");
  line("saving", m.saving, "while a checkpoint is written");
  line("sum", m.total(),
       available > 0 ? fmt::format("{} are available here", bytes_text(available)) : "");
}

void print_cost(const Plan& plan, const RunCost& cost) {
  const train::CostRecipe& rates = plan.recipe.cost;
  fmt::print("time and money\n");
  if (rates.device_hours_per_trillion_tokens > 0) {
    fmt::print(
        "  {:.0f} device hours for 10^12 tokens, as the recipe says (published or measured)\n",
        rates.device_hours_per_trillion_tokens);
    if (cost.mfu > 0) {
      fmt::print("  which comes to {:.1f} % of {}/s ({})\n", 100 * cost.mfu,
                 flops_text(plan.peak_flops), plan.peak_source);
    }
  } else {
    fmt::print("  at {:.0f} % (assumed: cost.mfu) of {}/s ({})\n", 100 * cost.mfu,
               flops_text(plan.peak_flops), plan.peak_source);
  }
  fmt::print("  {} device hours", cost.device_hours >= 1000
                                      ? count_text(cost.device_hours)
                                      : fmt::format("{:.3g}", cost.device_hours));
  if (rates.devices > 1) fmt::print(" on {:.0f} devices", rates.devices);
  fmt::print(": {}\n", span_text(cost.hours));
  fmt::print("  ${} at ${:.2f} a device hour\n",
             cost.dollars >= 1e6 ? fmt::format("{:.3f} M", cost.dollars / 1e6)
                                 : fmt::format("{:.2f}", cost.dollars),
             rates.dollars_per_hour);
}

}  // namespace

std::string count_text(double value) {
  constexpr const char* kUnits[] = {"", " k", " M", " B", " T"};
  int unit = 0;
  while (value >= 999.5 && unit < 4) {
    value /= 1000;
    ++unit;
  }
  return unit == 0 ? fmt::format("{:.0f}", value) : fmt::format("{:.4g}{}", value, kUnits[unit]);
}

std::string flops_text(double value) {
  if (value >= 1e15) return fmt::format("{:.3g} PFLOP", value / 1e15);
  if (value >= 1e12) return fmt::format("{:.3g} TFLOP", value / 1e12);
  if (value >= 1e9) return fmt::format("{:.4g} GFLOP", value / 1e9);
  return fmt::format("{:.4g} MFLOP", value / 1e6);
}

std::string span_text(double hours) {
  if (hours > 48) return fmt::format("{:.1f} days", hours / 24);
  if (hours < 1) return duration_text(hours * 3600);
  const auto minutes = static_cast<std::int64_t>(hours * 60 + 0.5);
  return fmt::format("{} h {} min", minutes / 60, minutes % 60);
}

void print_effective(const Recipe& recipe) {
  std::string section;
  for (const train::EffectiveValue& value : recipe.effective) {
    const std::size_t dot = value.key.find('.');
    if (value.key.substr(0, dot) != section) {
      section = value.key.substr(0, dot);
      fmt::print("[{}]\n", section);
    }
    const std::string text = value.value.dump(-1, ' ', false, Json::error_handler_t::replace);
    fmt::print("  {:<34} {:<24} {}\n", value.key.substr(dot + 1), text, value.origin);
  }
}

void print_plan(const Plan& plan) {
  const Recipe& recipe = plan.recipe;
  const PlanNumbers n(plan);
  fmt::print("\nparameters\n  {:<16} {:>10}  {}\n", "all",
             count_text(static_cast<double>(n.facts.parameters)), n.facts.parameters);
  fmt::print("  {:<16} {:>10}  {}\n", "active",
             count_text(static_cast<double>(n.facts.active_parameters)), n.facts.active_parameters);
  if (n.facts.mtp_parameters > 0)
    fmt::print("  {:<16} {:>10}  beside them, in {} prediction module{}\n", "MTP",
               count_text(static_cast<double>(n.facts.mtp_parameters)), recipe.model.mtp_layers,
               recipe.model.mtp_layers > 1 ? "s" : "");
  print_memory(n.memory, plan);
  fmt::print("work\n  {} tokens in about {:.0f} steps of {} tokens at most\n",
             count_text(recipe.tokens), n.cost.steps,
             count_text(recipe.slot_tokens() * static_cast<double>(recipe.slots)));
  fmt::print("  {} a token, forward and back{}, attention over {:.0f} tokens\n",
             flops_text(n.flops_per_token), trains_mtp(recipe) ? " with MTP" : "", n.span);
  fmt::print("  {:.4g} FLOP in all\n", n.cost.flops);
  print_cost(plan, n.cost);
}

void print_plan_json(const Plan& plan) {
  const Recipe& recipe = plan.recipe;
  const PlanNumbers n(plan);
  Json json = {{"parameters", n.facts.parameters},
               {"active_parameters", n.facts.active_parameters},
               {"mtp_parameters", n.facts.mtp_parameters},
               {"processes", plan.ranks},
               {"memory",
                {{"masters", n.memory.masters},
                 {"copies", n.memory.copies},
                 {"gradients", n.memory.gradients},
                 {"gradient_buffers", n.memory.tree_levels},
                 {"moments", n.memory.moments},
                 {"mean", n.memory.mean},
                 {"activations", n.memory.activations},
                 {"saving", n.memory.saving},
                 {"total", n.memory.total()}}},
               {"tokens", recipe.tokens},
               {"steps", n.cost.steps},
               {"attention_span", n.span},
               {"flops_per_token", n.flops_per_token},
               {"flops", n.cost.flops},
               {"peak_flops", plan.peak_flops},
               {"peak_source", plan.peak_source},
               {"mfu", n.cost.mfu},
               {"device_hours", n.cost.device_hours},
               {"hours", n.cost.hours},
               {"dollars", n.cost.dollars},
               {"notices", recipe.notices},
               {"values", Json::array()}};
  for (const train::EffectiveValue& value : recipe.effective)
    json["values"].push_back(
        {{"key", value.key}, {"value", value.value}, {"origin", value.origin}});
  fmt::print("{}\n", json.dump(2, ' ', false, Json::error_handler_t::replace));
}

TrainLine::TrainLine(const Environment& environment, const Recipe& recipe)
    : terminal_(environment.stderr_terminal), recipe_(recipe) {}

TrainLine::~TrainLine() {
  if (!drawn_.empty()) std::fputs("\n", stderr);
}

void TrainLine::wipe() {
  if (!drawn_.empty()) std::fputs("\r\033[K", stderr);
}

std::string TrainLine::text(const train::RunProgress& progress) const {
  const train::StepRecord& record = progress.record;
  const train::StepReport& r = record.report;
  std::string line = fmt::format("step {} ({:.1f} %)  loss {:.4f}", r.step,
                                 100 * std::min(1.0, r.tokens_seen / recipe_.tokens), r.loss);
  if (r.rates.mtp_lambda > 0 && recipe_.model.mtp_layers > 0)
    line += fmt::format("  mtp {:.4f}", r.mtp_loss);
  for (const auto& [name, value] : r.sums.more) {
    if (name == "rewards/margins" || name == "rewards/accuracies")
      line += fmt::format("  {} {:.3f}", name.substr(name.find('/') + 1), value / r.sums.weight);
  }
  if (r.balance_loss != 0) line += fmt::format("  bal {:.2g}", r.balance_loss);
  if (progress.bits_per_byte) line += fmt::format("  {:.4f} bits/B", *progress.bits_per_byte);
  line +=
      fmt::format("  |g| {:.3g}  lr {:.3g}  {} tok/s  {:.4f} TFLOP/s", r.grad_norm, r.rates.rate,
                  count_text(record.tokens_per_second), record.flops_per_second / 1e12);
  if (record.mfu > 0) line += fmt::format("  MFU {:.1f} %", 100 * record.mfu);
  if (r.load_max_over_mean > 0) line += fmt::format("  load {:.2f}", r.load_max_over_mean);
  return line + "  " + span_text(progress.seconds_left / 3600) + " left";
}

void TrainLine::show(const train::RunProgress& progress) {
  const std::int64_t step = progress.record.report.step;
  if (!terminal_) {
    if (step == 1 || step % recipe_.log_every == 0 || !progress.record.scores.empty())
      fmt::print(stderr, "{}\n", text(progress));
    return;
  }
  const auto now = Clock::now();
  if (now - when_ < std::chrono::milliseconds(100)) return;
  when_ = now;
  wipe();
  drawn_ = text(progress);
  std::fputs(drawn_.c_str(), stderr);
  std::fflush(stderr);
}

void TrainLine::say(const std::string& text) {
  wipe();
  fmt::print(stderr, "nautile: {}\n", terminal_safe(text));
  if (drawn_.empty()) return;
  std::fputs(drawn_.c_str(), stderr);
  std::fflush(stderr);
}

}  // namespace nautile::app
