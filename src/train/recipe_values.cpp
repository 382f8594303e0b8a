#include "train/recipe_values.h"

#include <toml++/toml.h>

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "base/suggest.h"

namespace nautile::train {
namespace {

using Json = nlohmann::ordered_json;
namespace fs = std::filesystem;

// Depth is bounded by the parser's own limit.
Json to_json(const toml::node& node, const std::string& where) {
  if (const auto* table = node.as_table()) {
    Json object = Json::object();
    for (const auto& [key, value] : *table) object[std::string(key.str())] = to_json(value, where);
    return object;
  }
  if (const auto* list = node.as_array()) {
    Json array = Json::array();
    for (const toml::node& item : *list) array.push_back(to_json(item, where));
    return array;
  }
  if (const auto text = node.value_exact<std::string>()) return *text;
  if (const auto truth = node.value_exact<bool>()) return *truth;
  if (const auto whole = node.value_exact<std::int64_t>()) return *whole;
  if (const auto number = node.value_exact<double>()) {
    NAUTILE_CHECK(std::isfinite(*number), "{}: {} is no value", where, *number);
    return *number;
  }
  fail(ErrorKind::bad_input, "{}: dates and times mean nothing here", where);
}

std::string toml_of(const Json& value) {
  if (!value.is_object()) {
    if (!value.is_array()) return value.dump(-1, ' ', false, Json::error_handler_t::replace);
    std::string text;
    for (const Json& item : value) text += (text.empty() ? "" : ", ") + toml_of(item);
    return "[" + text + "]";
  }
  std::string text;
  for (const auto& [key, item] : value.items())
    text += fmt::format("{}{} = {}", text.empty() ? "" : ", ", Json(key).dump(), toml_of(item));
  return "{ " + text + " }";
}

const char* kind_of(const Json& value) {
  if (value.is_string()) return "text";
  if (value.is_boolean()) return "true or false";
  if (value.is_number_integer()) return "a whole number";
  if (value.is_number()) return "a number";
  return value.is_array() ? "a list" : "a table";
}

}  // namespace

RecipeValues::RecipeValues(std::string_view toml, const std::string& path,
                           const std::vector<std::string>& sets,
                           const std::vector<RecipeDefault>& defaults)
    : path_(path) {
  for (const RecipeDefault& d : defaults) given_[d.key] = {d.value, d.source, Given::By::nobody};
  try {
    for (const auto& [section, node] : toml::parse(toml, path)) {
      const auto place = [&](const toml::node& at) {
        return fmt::format("{}, line {}", path, at.source().begin.line);
      };
      const toml::table* table = node.as_table();
      NAUTILE_CHECK(table, "{}: '{}' stands in no table: [train], [data] and so on", place(node),
                    section.str());
      for (const auto& [key, value] : *table) {
        const std::string name = fmt::format("{}.{}", section.str(), key.str());
        given_[name] = {to_json(value, place(value)), place(value), Given::By::recipe};
      }
    }
  } catch (const toml::parse_error& error) {
    fail(ErrorKind::bad_input, "{}, line {}: {}", path, error.source().begin.line,
         error.description());
  }
  for (const std::string& assignment : sets) set(assignment);
}

void RecipeValues::set(const std::string& assignment) {
  const std::size_t equals = assignment.find('='), dot = assignment.find('.');
  if (equals == assignment.npos || dot > equals) {
    throw make_error(ErrorKind::usage, "--set {}: expected TABLE.KEY=VALUE", assignment)
        .hint("--set train.seed=1");
  }
  const std::string key = assignment.substr(0, equals), text = assignment.substr(equals + 1);
  const std::string origin = fmt::format("--set {}", key);
  Json value = text;
  try {
    const toml::table table = toml::parse("value = " + text, origin);
    if (table.size() == 1) value = to_json(*table.get("value"), origin);
  } catch (const toml::parse_error&) {
    // Text may come without its quotes: shells take them away.
  }
  given_[key] = {std::move(value), origin, Given::By::option};
}

void RecipeValues::wrong(const std::string& key, const std::string& what) const {
  const auto found = given_.find(key);
  fail(ErrorKind::bad_input, "{}: {} {}", found == given_.end() ? path_ : found->second.origin, key,
       what);
}

bool RecipeValues::given(const std::string& key) const {
  const auto found = given_.find(key);
  return found != given_.end() && found->second.by != Given::By::nobody;
}

const RecipeValues::Given* RecipeValues::take(const std::string& key) {
  known_.push_back(key);
  const auto found = given_.find(key);
  return found == given_.end() ? nullptr : &found->second;
}

std::string RecipeValues::origin_of(const std::string& key, const std::string& source) const {
  const auto found = given_.find(key);
  if (found == given_.end()) return source;
  if (found->second.by == Given::By::nobody) return found->second.origin;
  return found->second.by == Given::By::option ? "--set" : "recipe";
}

void RecipeValues::note(const std::string& key, Json value, const std::string& source) {
  effective_.push_back({key, std::move(value), origin_of(key, source)});
}

double RecipeValues::number(const std::string& key, double otherwise, const std::string& source,
                            double least, double most) {
  double value = otherwise;
  if (const Given* given = take(key)) {
    if (!given->value.is_number())
      wrong(key, fmt::format("is {} (expected a number)", kind_of(given->value)));
    value = given->value.get<double>();
    if (!(value >= least && value <= most))
      wrong(key, fmt::format("is {} (expected {} to {})", value, least, most));
  }
  note(key, value, source);
  return value;
}

std::int64_t RecipeValues::integer(const std::string& key, std::int64_t otherwise,
                                   const std::string& source, std::int64_t least,
                                   std::int64_t most) {
  std::int64_t value = otherwise;
  if (const Given* given = take(key)) {
    // 2e9 is how people write large counts.
    const bool whole = given->value.is_number() && std::abs(given->value.get<double>()) <= 9e15 &&
                       given->value.get<double>() == std::floor(given->value.get<double>());
    if (!whole) wrong(key, fmt::format("is {} (expected a whole number)", toml_of(given->value)));
    value = given->value.is_number_integer()
                ? given->value.get<std::int64_t>()
                : static_cast<std::int64_t>(given->value.get<double>());
    if (value < least || value > most)
      wrong(key, fmt::format("is {} (expected {} to {})", value, least, most));
  }
  note(key, value, source);
  return value;
}

RecipeValues::Answer RecipeValues::flag(const std::string& key, Answer otherwise,
                                        const std::string& source) {
  Answer value = otherwise;
  if (const Given* given = take(key)) {
    if (!given->value.is_boolean())
      wrong(key, fmt::format("is {} (expected true or false)", toml_of(given->value)));
    value = given->value.get<bool>() ? Answer::yes : Answer::no;
  }
  note(key, value == Answer::yes, source);
  return value;
}

std::string RecipeValues::text(const std::string& key, const std::string& otherwise,
                               const std::string& source) {
  std::string value = otherwise;
  if (const Given* given = take(key)) {
    if (!given->value.is_string())
      wrong(key, fmt::format("is {} (expected text)", kind_of(given->value)));
    value = given->value.get<std::string>();
  }
  note(key, value, source);
  return value;
}

std::vector<std::string> RecipeValues::texts(const std::string& key, const std::string& source) {
  std::vector<std::string> value;
  if (const Given* given = take(key)) {
    const Json list = given->value.is_string() ? Json::array({given->value}) : given->value;
    if (!list.is_array()) wrong(key, "is no list of texts");
    for (const Json& item : list) {
      if (!item.is_string()) wrong(key, "holds something that is not text");
      value.push_back(item.get<std::string>());
    }
  }
  note(key, value, source);
  return value;
}

std::string RecipeValues::path(const std::string& key, const std::string& source) {
  std::string value;
  if (const Given* given = take(key)) {
    if (!given->value.is_string()) wrong(key, "is no path");
    value = resolved(given->value.get<std::string>(), given->by);
  }
  note(key, value, source);
  return value;
}

std::vector<std::string> RecipeValues::paths(const std::string& key, const std::string& source) {
  std::vector<std::string> list = texts(key, source);
  const auto given = given_.find(key);
  for (std::string& path : list) path = resolved(path, given->second.by);
  effective_.back().value = list;
  return list;
}

// An empty path is as if it were not there.
std::string RecipeValues::resolved(const std::string& path, Given::By by) const {
  fs::path full = path;
  if (full.empty()) return "";
  if (full.is_relative() && by == Given::By::recipe) full = fs::path(path_).parent_path() / full;
  return fs::absolute(full).lexically_normal().string();
}

std::string RecipeValues::one_of(const std::string& key, const std::string& otherwise,
                                 const std::string& source, const std::vector<std::string>& names) {
  std::string value = text(key, otherwise, source);
  if (std::find(names.begin(), names.end(), value) == names.end())
    wrong(key, fmt::format("is '{}' ({})", value, suggestion(value, names)));
  return value;
}

Json RecipeValues::raw(const std::string& key) {
  const Given* given = take(key);
  return given ? given->value : Json();
}

void RecipeValues::finish() const {
  for (const auto& [key, value] : given_) {
    if (value.by == Given::By::nobody) continue;
    if (std::find(known_.begin(), known_.end(), key) != known_.end()) continue;
    const std::string section = key.substr(0, key.find('.') + 1);
    std::vector<std::string> near, sections;
    for (const std::string& known : known_) {
      const std::string its = known.substr(0, known.find('.') + 1);
      if (its == section) near.push_back(known);
      if (std::find(sections.begin(), sections.end(), its) == sections.end())
        sections.push_back(its);
    }
    throw make_error(ErrorKind::bad_input, "{}: there is no '{}' in a recipe", value.origin, key)
        .hint("{}", near.empty() ? suggestion(section, sections) : suggestion(key, near));
  }
}

std::string recipe_text(const std::vector<EffectiveValue>& values) {
  std::string text, section;
  for (const EffectiveValue& value : values) {
    if (value.value.is_null()) continue;
    const std::size_t dot = value.key.find('.');
    if (value.key.substr(0, dot) != section) {
      section = value.key.substr(0, dot);
      text += fmt::format("{}[{}]\n", text.empty() ? "" : "\n", section);
    }
    const std::string line =
        fmt::format("{} = {}", value.key.substr(dot + 1), toml_of(value.value));
    text += fmt::format("{:<40}  # {}\n", line, value.origin);
  }
  return text;
}

}  // namespace nautile::train
