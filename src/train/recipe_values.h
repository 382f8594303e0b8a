// recipe_values.h — RecipeValues: a recipe's values by name, each with its default and with who
// said so.
#pragma once

#include <initializer_list>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"

namespace nautile::train {

// A value as it counts: "optimizer.beta2", 0.95, "DeepSeek-V3 report §4.2".
struct EffectiveValue {
  std::string key;
  nlohmann::ordered_json value;
  std::string origin;
};

// A default over nautile's own: that of another kind of run (fine-tuning).
struct RecipeDefault {
  std::string key;
  nlohmann::ordered_json value;
  std::string source;
};

// Each reader names a key, what counts when nobody gave it, and the source of that default; it
// notes the value for effective(). What no reader named is an unknown key. All throw
// Error(bad_input) with the line, or the --set, that is wrong.
class RecipeValues {
 public:
  // `toml` has tables of keys and nothing deeper that is read by name; `sets` are "table.key=value"
  // and win. A value that is no TOML counts as text. `path` names the text in errors. `defaults`
  // count where nobody gave the key.
  RecipeValues(std::string_view toml, const std::string& path, const std::vector<std::string>& sets,
               const std::vector<RecipeDefault>& defaults = {});

  bool given(const std::string& key) const;

  double number(const std::string& key, double otherwise, const std::string& source, double least,
                double most);
  std::int64_t integer(const std::string& key, std::int64_t otherwise, const std::string& source,
                       std::int64_t least, std::int64_t most);
  enum class Answer : std::uint8_t { no, yes };
  Answer flag(const std::string& key, Answer otherwise, const std::string& source);
  std::string text(const std::string& key, const std::string& otherwise, const std::string& source);
  std::vector<std::string> texts(const std::string& key, const std::string& source);
  // A path; relative ones are to the recipe's folder, or with --set to the working directory.
  std::string path(const std::string& key, const std::string& source);
  std::vector<std::string> paths(const std::string& key, const std::string& source);
  template <class T>
  T choice(const std::string& key, T otherwise, const std::string& source,
           std::initializer_list<std::pair<const char*, T>> choices) {
    std::vector<std::string> names;
    std::string standard;
    for (const auto& [name, value] : choices) {
      names.emplace_back(name);
      if (value == otherwise) standard = name;
    }
    const std::string chosen = one_of(key, standard, source, names);
    for (const auto& [name, value] : choices) {
      if (chosen == name) return value;
    }
    return otherwise;
  }
  // Any value; null if nobody gave it. Nothing is noted: see note().
  nlohmann::ordered_json raw(const std::string& key);
  void note(const std::string& key, nlohmann::ordered_json value, const std::string& source);

  // Throws for what was given and never read; call it last.
  void finish() const;
  const std::vector<EffectiveValue>& effective() const { return effective_; }

  [[noreturn]] void wrong(const std::string& key, const std::string& what) const;

 private:
  struct Given {
    nlohmann::ordered_json value;
    std::string origin;  // "debug.toml, line 3", "--set KEY", or a default's source
    enum class By : std::uint8_t { nobody, recipe, option } by = By::recipe;
  };
  void set(const std::string& assignment);
  const Given* take(const std::string& key);
  std::string resolved(const std::string& path, Given::By by) const;
  std::string one_of(const std::string& key, const std::string& otherwise,
                     const std::string& source, const std::vector<std::string>& names);
  std::string origin_of(const std::string& key, const std::string& source) const;

  std::string path_;
  std::map<std::string, Given> given_;
  std::vector<std::string> known_;
  std::vector<EffectiveValue> effective_;
};

// The list as a recipe again: tables, keys, and the origins as comments.
std::string recipe_text(const std::vector<EffectiveValue>& values);

}  // namespace nautile::train
