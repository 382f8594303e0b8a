// hf_facts.h — HfFacts: reads the fields of a config.json with errors that name them.
#pragma once

#include <cmath>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "base/error.h"
#include "model/config.h"
#include "store/gguf.h"

namespace nautile {

class HfFacts {
 public:
  explicit HfFacts(const nlohmann::json& object, std::string place = "")
      : object_(object), place_(std::move(place)) {
    NAUTILE_CHECK(object.is_object(), "config.json{}: expected an object, found {}", place_,
                  object.type_name());
  }

  // Absent and null are the same.
  const nlohmann::json* find(std::string_view key) const {
    const auto at = object_.find(key);
    return at == object_.end() || at->is_null() ? nullptr : &*at;
  }

  std::optional<std::int64_t> optional_integer(std::string_view key) const {
    const nlohmann::json* value = find(key);
    if (!value) return std::nullopt;
    if (!value->is_number_integer()) wrong(key, "a whole number", *value);
    if (value->is_number_unsigned() && value->get<std::uint64_t>() > (std::uint64_t{1} << 53))
      wrong(key, "a number below 2^53", *value);
    return value->get<std::int64_t>();
  }
  std::int64_t integer(std::string_view key, std::int64_t low, std::int64_t high) const {
    const std::optional<std::int64_t> value = optional_integer(key);
    NAUTILE_CHECK(value, "config.json{}: {} is missing", place_, key);
    return in_range(key, *value, low, high);
  }
  std::int64_t integer_or(std::string_view key, std::int64_t fallback, std::int64_t low,
                          std::int64_t high) const {
    const std::optional<std::int64_t> value = optional_integer(key);
    return value ? in_range(key, *value, low, high) : fallback;
  }
  int size(std::string_view key) const { return static_cast<int>(integer(key, 1, 1 << 26)); }
  int size_or(std::string_view key, int fallback) const {
    return static_cast<int>(integer_or(key, fallback, 0, 1 << 26));
  }

  double number(std::string_view key) const {
    const nlohmann::json* value = find(key);
    NAUTILE_CHECK(value, "config.json{}: {} is missing", place_, key);
    return checked_number(key, *value);
  }
  double number_or(std::string_view key, double fallback) const {
    const nlohmann::json* value = find(key);
    return value ? checked_number(key, *value) : fallback;
  }
  bool flag_or(std::string_view key, bool fallback) const {
    const nlohmann::json* value = find(key);
    if (value && !value->is_boolean()) wrong(key, "true or false", *value);
    return value ? value->get<bool>() : fallback;
  }
  std::string text_or(std::string_view key, std::string_view fallback) const {
    const nlohmann::json* value = find(key);
    if (value && !value->is_string()) wrong(key, "a string", *value);
    return value ? value->get<std::string>() : std::string(fallback);
  }
  HfFacts object(std::string_view key) const {
    const nlohmann::json* value = find(key);
    NAUTILE_CHECK(value, "config.json{}: {} is missing", place_, key);
    return HfFacts(*value, fmt::format("{}.{}", place_, key));
  }
  const std::string& place() const { return place_; }

 private:
  [[noreturn]] void wrong(std::string_view key, std::string_view expected,
                          const nlohmann::json& found) const {
    fail(ErrorKind::bad_input, "config.json{}: {}: expected {}, found {}", place_, key, expected,
         found.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace).substr(0, 60));
  }
  std::int64_t in_range(std::string_view key, std::int64_t value, std::int64_t low,
                        std::int64_t high) const {
    NAUTILE_CHECK(value >= low && value <= high, "config.json{}: {} is {}: expected {} to {}",
                  place_, key, value, low, high);
    return value;
  }
  double checked_number(std::string_view key, const nlohmann::json& value) const {
    if (!value.is_number() || !std::isfinite(value.get<double>())) wrong(key, "a number", value);
    return value.get<double>();
  }

  const nlohmann::json& object_;
  std::string place_;
};

// Facts that Llama-like families share: sizes, rope, head. Families change what differs.
ModelConfig common_hf(const HfFacts& facts, std::string_view family);
// The same from GGUF metadata of architecture A ("llama" …).
ModelConfig common_gguf(const store::GgufFile& file, std::string_view family);

// rope_scaling (or transformers 5's rope_parameters) of config.json into config.rope. Returns the
// factor on the softmax scale that YaRN with mscale_all_dim asks for (DeepSeek), else 1.
double read_rope_scaling(const HfFacts& facts, ModelConfig& config);

}  // namespace nautile
