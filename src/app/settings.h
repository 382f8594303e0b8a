// settings.h — Settings: what a user may set about an answer, by option, by /set or by a saved
// chat.
#pragma once

#include <CLI/CLI.hpp>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "app/environment.h"
#include "app/text_files.h"
#include "engine/sampler.h"
#include "text/chat_format.h"

namespace nautile::app {

// What happens when the conversation no longer fits the context.
enum class ContextEnd : std::uint8_t {
  stop,  // the message is refused, with what may help
  drop,  // the oldest exchanges are left out until it fits, and that is said
};
enum class ReasoningShown : std::uint8_t { show, fold, hide };
enum class SpeedLine : std::uint8_t { on, off };

struct Settings {
  engine::SamplingParams sampling;
  std::vector<std::string> stops;
  std::int64_t max_tokens = 0;  // 0: until the model ends or the context is full
  Thinking thinking = Thinking::unset;
  ContextEnd context_end = ContextEnd::stop;
  ReasoningShown reasoning = ReasoningShown::show;
  SpeedLine speed = SpeedLine::on;
  std::map<std::string, std::string> origin;  // by name: who said so; absent: nautile's default
};

// Which verbs a setting is for.
enum class SettingScope : std::uint8_t { any, chat };

// One setting: its name ("top_p"; the option is --top-p), the shape of its value, one line of help.
struct Setting {
  const char* name;
  const char* value;
  const char* help;
  SettingScope scope;
  // Throws Error(usage) for text that is no such value. Ranges are checked by apply_setting.
  void (*parse)(Settings&, const std::string& text);
  std::string (*show)(const Settings&);  // what parse takes
};
const std::vector<Setting>& setting_table();
// By name ("top_p" or "top-p"). Throws Error(usage) with the nearest name, or all of them.
const Setting& find_setting(const std::string& name);

// As the model's makers advise, else temperature 0.7 and top_p 0.95. The seed is random; reasoning
// is shown on a terminal alone.
Settings default_settings(const GenerationDefaults& defaults, const Environment& environment);

// Sets one by name, whole or not at all. Throws Error(usage) naming it.
void apply_setting(Settings& settings, const std::string& name, const std::string& value,
                   const std::string& origin, std::int32_t vocabulary);

// "  temperature   0.7   nautile's default": a line for each setting: its value and who said so.
std::string settings_text(const Settings& settings);

// Settings given as options, in order.
using GivenSettings = std::vector<std::pair<std::string, std::string>>;
// An option for each setting of `scope`.
void add_setting_options(CLI::App& verb, GivenSettings& given, SettingScope scope);

}  // namespace nautile::app
