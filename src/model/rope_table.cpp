#include "model/rope_table.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace nautile {
namespace {

// YaRN: frequencies that turn fewer than beta_slow times in the original context are divided by the
// factor, those that turn more than beta_fast times are kept, a ramp lies between.
void scale_yarn(const RopeConfig& c, int dims, std::vector<double>& frequency) {
  const auto dimension_of = [&](double turns) {
    return dims * std::log(c.original_context / (turns * 2 * std::numbers::pi)) /
           (2 * std::log(static_cast<double>(c.theta)));
  };
  const double low = std::max(std::floor(dimension_of(static_cast<double>(c.beta_fast))), 0.0);
  double high = std::min(std::ceil(dimension_of(static_cast<double>(c.beta_slow))), dims - 1.0);
  if (low == high) high += 0.001;
  for (std::size_t i = 0; i < frequency.size(); ++i) {
    const double ramp = std::clamp((static_cast<double>(i) - low) / (high - low), 0.0, 1.0);
    frequency[i] = frequency[i] / static_cast<double>(c.factor) * ramp + frequency[i] * (1 - ramp);
  }
}

void scale_llama3(const RopeConfig& c, std::vector<double>& frequency) {
  const double low = c.low_frequency, high = c.high_frequency, factor = c.factor;
  for (double& f : frequency) {
    const double wave = 2 * std::numbers::pi / f;
    const double turns = c.original_context / wave;
    if (turns < low) {
      f /= factor;
    } else if (turns <= high) {
      const double smooth = (turns - low) / (high - low);
      f = (1 - smooth) * f / factor + smooth * f;
    }
  }
}

}  // namespace

std::vector<double> rope_frequencies(const RopeConfig& config, int dims) {
  std::vector<double> frequency(static_cast<std::size_t>(dims / 2));
  for (std::size_t i = 0; i < frequency.size(); ++i) {
    frequency[i] =
        std::pow(static_cast<double>(config.theta), -2.0 * static_cast<double>(i) / dims);
  }
  switch (config.scaling) {
    case RopeConfig::Scaling::none:
      break;
    case RopeConfig::Scaling::linear:
      for (double& f : frequency) f /= static_cast<double>(config.factor);
      break;
    case RopeConfig::Scaling::yarn:
      scale_yarn(config, dims, frequency);
      break;
    case RopeConfig::Scaling::llama3:
      scale_llama3(config, frequency);
      break;
  }
  for (std::size_t i = 0; i < config.divisors.size(); ++i)
    frequency[i] /= static_cast<double>(config.divisors[i]);
  return frequency;
}

ops::RopeTable make_rope_table(const RopeConfig& config, int dims, std::int64_t positions) {
  const std::vector<double> frequency = rope_frequencies(config, dims);
  ops::RopeTable table;
  table.half = dims / 2;
  table.order = config.order;
  table.cos.reserve(static_cast<std::size_t>(positions) * frequency.size());
  table.sin.reserve(table.cos.capacity());
  for (std::int64_t p = 0; p < positions; ++p) {
    for (double f : frequency) {
      // The angle in F32, as the reference codes compute it.
      const double angle = static_cast<double>(static_cast<float>(p) * static_cast<float>(f));
      table.cos.push_back(static_cast<float>(std::cos(angle)) * config.amplitude);
      table.sin.push_back(static_cast<float>(std::sin(angle)) * config.amplitude);
    }
  }
  return table;
}

}  // namespace nautile
