#include "train/recipe_schedule.h"

#include <cmath>

namespace nautile::train {
namespace {

using Json = nlohmann::ordered_json;
constexpr const char* kReport = "DeepSeek-V3 report §4.2";

enum class Kind : std::uint8_t { deepseek_v3, wsd, cosine, phases };

// A number, or [[share, value], …]: a value until that share of the run's tokens.
std::vector<StepValue> step_values(RecipeValues& values, const std::string& key,
                                   std::vector<StepValue> otherwise, double total) {
  const Json given = values.raw(key);
  if (given.is_number()) otherwise = {{total, given.get<double>()}};
  if (!given.is_null() && !given.is_number()) {
    if (!given.is_array() || given.empty())
      values.wrong(key, "is neither a number nor a list of [share of the tokens, value]");
    otherwise.clear();
    double before = 0;
    for (const Json& pair : given) {
      const bool fits =
          pair.is_array() && pair.size() == 2 && pair[0].is_number() && pair[1].is_number();
      if (!fits) values.wrong(key, fmt::format("holds {}: expected [share, value]", pair.dump()));
      const auto share = pair[0].get<double>();
      if (!(share > before && share <= 1))
        values.wrong(
            key, fmt::format("has a share of {} after {} (expected to rise to 1)", share, before));
      otherwise.push_back({share * total, pair[1].get<double>()});
      before = share;
    }
  }
  Json list = Json::array();
  for (const StepValue& value : otherwise) {
    if (!(value.value >= 0 && value.value <= 1e3))
      values.wrong(key, fmt::format("is {} (expected 0 to 1000)", value.value));
    list.push_back(Json::array({std::round(value.until_tokens / total * 1e6) / 1e6, value.value}));
  }
  values.note(key, otherwise.size() == 1 ? Json(otherwise[0].value) : list, kReport);
  return otherwise;
}

RatePhase read_phase(RecipeValues& values, const Json& item, double peak, double total) {
  constexpr const char* kKey = "schedule.phases";
  constexpr std::pair<const char*, RatePhase::Shape> kShapes[] = {
      {"constant", RatePhase::Shape::constant},
      {"linear", RatePhase::Shape::linear},
      {"cosine", RatePhase::Shape::cosine},
      {"sqrt", RatePhase::Shape::sqrt}};
  if (!item.is_object()) values.wrong(kKey, "holds something that is no table");
  RatePhase phase;
  phase.end_rate = peak;
  bool known = false, length = false;
  for (const auto& [key, value] : item.items()) {
    if (key == "shape" && value.is_string()) {
      for (const auto& [name, shape] : kShapes) {
        if (value.get<std::string>() != name) continue;
        phase.shape = shape;
        known = true;
      }
    } else if (key == "share" && value.is_number()) {
      phase.tokens = value.get<double>() * total;
      length = phase.tokens > 0 && phase.tokens <= total;
    } else if (key == "end_rate" && value.is_number()) {
      phase.end_rate = value.get<double>();
    } else {
      values.wrong(kKey, fmt::format("has '{} = {}' (a phase has shape, share and end_rate)", key,
                                     value.dump()));
    }
  }
  if (!known) values.wrong(kKey, "needs a shape in each phase: constant, linear, cosine or sqrt");
  if (!length)
    values.wrong(kKey, "needs a share of the tokens, above 0 and up to 1, in each phase");
  if (!(phase.end_rate >= 0 && phase.end_rate <= 10))
    values.wrong(kKey, "has an end_rate below 0 or above 10");
  return phase;
}

void read_phases(RecipeValues& values, ScheduleConfig& schedule, double total) {
  const Json given = values.raw("schedule.phases");
  if (!given.is_array() || given.empty())
    values.wrong("schedule.phases", "is no list of phases, which schedule.kind = \"phases\" needs");
  schedule.phases.clear();
  double sum = 0;
  for (const Json& item : given) {
    schedule.phases.push_back(read_phase(values, item, schedule.peak_rate, total));
    sum += schedule.phases.back().tokens / total;
  }
  if (sum > 1 + 1e-9)
    values.wrong("schedule.phases", fmt::format("has shares that sum to {}", sum));
  values.note("schedule.phases", given, "");
}

void read_ramp(RecipeValues& values, const Recipe& recipe, ScheduleConfig& schedule) {
  const double batch = recipe.slot_tokens() * static_cast<double>(recipe.slots);
  schedule.batch_to = batch;
  schedule.batch_from = values.number("schedule.batch_from", batch,
                                      "no ramp (report §4.2: from a fifth of the batch; its shape "
                                      "is not published, ours is linear)",
                                      1, batch);
  schedule.batch_ramp_tokens = values.number(
      "schedule.batch_ramp_tokens", schedule.batch_from < batch ? recipe.tokens * 0.469 / 14.8 : 0,
      "report §4.2: 469 B of 14.8 T tokens", 0, 1e18);
}

}  // namespace

void read_schedule(RecipeValues& values, Recipe& recipe) {
  const double total = recipe.tokens;
  const double batch = recipe.slot_tokens() * static_cast<double>(recipe.slots);
  const Kind kind = values.choice("schedule.kind", Kind::deepseek_v3, kReport,
                                  {{"deepseek-v3", Kind::deepseek_v3},
                                   {"wsd", Kind::wsd},
                                   {"cosine", Kind::cosine},
                                   {"phases", Kind::phases}});
  const double peak = values.number("schedule.peak_rate", 2.2e-4, kReport, 0, 10);
  const auto tenth = static_cast<std::int64_t>(total / batch / 10);
  const std::int64_t warmup =
      values.integer("schedule.warmup_steps", std::min<std::int64_t>(2000, tenth),
                     "DeepSeek-V3 report §4.2: 2,000, here at most a tenth of the steps", 0,
                     std::int64_t{1} << 40);
  ScheduleConfig schedule = deepseek_v3_schedule(peak, warmup, total);
  if (kind == Kind::wsd) {
    const double share =
        values.number("schedule.decay_share", 0.1, "Hu et al. 2024: a tenth", 0.001, 1);
    const double end = values.number("schedule.end_rate", peak / 10, "a tenth of the peak", 0, 10);
    schedule = warmup_stable_decay(peak, warmup, total, share, end);
  }
  if (kind == Kind::cosine) {
    const double end = values.number("schedule.end_rate", peak / 5,
                                     "DeepSeek-V3 report §5.1: a fifth of the peak", 0, 10);
    schedule.phases = {{RatePhase::Shape::cosine, total, end}};
  }
  if (kind == Kind::phases) read_phases(values, schedule, total);
  schedule.mtp_lambda = step_values(values, "schedule.mtp_lambda", schedule.mtp_lambda, total);
  schedule.bias_gamma = step_values(values, "schedule.bias_gamma", schedule.bias_gamma, total);
  schedule.balance_alpha =
      step_values(values, "schedule.balance_alpha", schedule.balance_alpha, total);
  read_ramp(values, recipe, schedule);
  if (recipe.steps > 0 && !values.given("train.tokens"))
    schedule.tokens_per_step = total / static_cast<double>(recipe.steps);
  recipe.trainer.schedule = std::move(schedule);
}

}  // namespace nautile::train
