#include "train/run_state.h"

#include <algorithm>
#include <charconv>

#include "base/json.h"
#include "train/trainer.h"

namespace nautile::train {
namespace {

using Json = nlohmann::ordered_json;
constexpr int kFormat = 1;

const char* name_of(Precision precision) {
  return precision == Precision::f32 ? "f32" : precision == Precision::bf16 ? "bf16" : "fp8";
}

// A member of the wrong type is an error that names it.
template <class T>
T get(const Json& object, const char* name, const std::string& what) {
  const auto at = object.find(name);
  NAUTILE_CHECK(at != object.end(), "{}: {} is missing", what, name);
  // A fraction would be cut, and one beyond the range of whole numbers has no meaning.
  NAUTILE_CHECK(!std::is_integral_v<T> || at->is_number_integer(), "{}: {} is not a whole number",
                what, name);
  try {
    return at->get<T>();
  } catch (const nlohmann::json::exception&) {
    fail(ErrorKind::bad_input, "{}: {} is not what it should be", what, name);
  }
}

Json object_at(const Json& object, const char* name, const std::string& what) {
  Json found = get<Json>(object, name, what);
  NAUTILE_CHECK(found.is_object(), "{}: {} is not an object", what, name);
  return found;
}

std::uint64_t parse_checksum(const std::string& text, const std::string& what) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, 16);
  NAUTILE_CHECK(text.size() == 16 && error == std::errc() && end == text.data() + text.size(),
                "{}: a checksum is not 16 hexadecimal digits", what);
  return value;
}

// Files lie in the folder itself.
void check_plain(const std::string& name, const std::string& what) {
  NAUTILE_CHECK(!name.empty() && name.front() != '.' && name.find('/') == name.npos,
                "{}: a file's name is not plain", what);
}

}  // namespace

TrainerFacts facts_of(Trainer& trainer) {
  const TrainerConfig& config = trainer.config();
  return {
      {"precision", name_of(config.precision)},
      {"kv_format", std::string(info(config.kv_format).name)},
      {"optimizer", config.optimizer.kind == OptimizerConfig::Kind::muon ? "muon" : "adamw"},
      {"moments", config.optimizer.moments == MomentFormat::bf16 ? "bf16" : "f32"},
      {"ema", config.ema_decay > 0 ? "yes" : "no"},
  };
}

std::string checksum_text(std::uint64_t xxh64) {
  return fmt::format("{:016x}", xxh64);
}

std::string StateFile::text() const {
  Json list = Json::object();
  for (const auto& [name, sum] : files)
    list[name] = {{"bytes", sum.bytes}, {"xxh64", checksum_text(sum.xxh64)}};
  const Json json = {
      {"format", kFormat},          {"program_version", run.program_version},
      {"step", run.step},           {"tokens_seen", run.tokens_seen},
      {"next_slot", run.next_slot}, {"seeds", {{"model", run.model_seed}, {"data", run.data_seed}}},
      {"trainer", trainer},         {"files", list},
      {"extra", run.extra},         {"model_config", run.model_config},
      {"recipe", run.recipe}};
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

StateFile StateFile::parse(std::string_view text, const std::string& what) {
  const Json json = parse_ordered_json(text, what);
  NAUTILE_CHECK(json.is_object(), "{}: not an object", what);
  const int format = get<int>(json, "format", what);
  if (format != kFormat) {
    fail(ErrorKind::unsupported, "{} has format {}, this nautile reads {}", what, format, kFormat);
  }
  StateFile state;
  RunState& run = state.run;
  run.program_version = get<std::string>(json, "program_version", what);
  run.step = get<std::int64_t>(json, "step", what);
  run.tokens_seen = get<double>(json, "tokens_seen", what);
  run.next_slot = get<std::int64_t>(json, "next_slot", what);
  NAUTILE_CHECK(run.step >= 0 && run.next_slot >= 0 && run.tokens_seen >= 0,
                "{}: step, tokens_seen or next_slot is negative", what);
  const Json seeds = object_at(json, "seeds", what);
  run.model_seed = get<std::uint64_t>(seeds, "model", what);
  run.data_seed = get<std::uint64_t>(seeds, "data", what);
  run.recipe = get<std::string>(json, "recipe", what);
  run.model_config = get<std::string>(json, "model_config", what);
  run.extra = object_at(json, "extra", what);
  const Json trainer = object_at(json, "trainer", what), files = object_at(json, "files", what);
  for (const auto& [name, value] : trainer.items()) {
    NAUTILE_CHECK(value.is_string(), "{}: trainer.{} is not a string", what, name);
    state.trainer[name] = value.get<std::string>();
  }
  for (const auto& [name, file] : files.items()) {
    check_plain(name, what);
    NAUTILE_CHECK(file.is_object(), "{}: files.{} is not an object", what, name);
    state.files[name] = {get<std::uint64_t>(file, "bytes", what),
                         parse_checksum(get<std::string>(file, "xxh64", what), what)};
  }
  return state;
}

}  // namespace nautile::train
