// settings.cpp — one table from which options, /set, its listing and saved chats are made.
#include "app/settings.h"

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>
#include <random>
#include <sstream>

#include "app/suggest.h"
#include "base/error.h"
#include "base/json.h"

namespace nautile::app {
namespace {

template <class Number>
Number number_of(const std::string& text) {
  Number value{};
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc() || stop != end || text.empty())
    fail(ErrorKind::usage, "'{}' is no number of its kind", text);
  return value;
}

template <class Choice>
Choice choice_of(const std::string& text,
                 std::initializer_list<std::pair<const char*, Choice>> choices) {
  std::string names;
  for (const auto& [name, value] : choices) {
    if (text == name) return value;
    names += std::string(names.empty() ? "" : ", ") + name;
  }
  fail(ErrorKind::usage, "'{}' is none of {}", text, names);
}

// A JSON array of strings, "none", or one string as it stands.
std::vector<std::string> stops_of(const std::string& text) {
  if (text == "none") return {};
  if (!text.starts_with('[')) return {text};
  const nlohmann::json list = parse_json(text, "the list of stop strings", {.depth = 4});
  if (!std::all_of(list.begin(), list.end(), [](const auto& one) { return one.is_string(); }))
    fail(ErrorKind::usage, "stop strings: expected a JSON array of strings");
  return list.get<std::vector<std::string>>();
}

std::string text_of_stops(const std::vector<std::string>& stops) {
  if (stops.empty()) return "none";
  return nlohmann::json(stops).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

// "12:-5 13:2.5", or "none".
std::map<std::int32_t, float> biases_of(const std::string& text) {
  std::map<std::int32_t, float> biases;
  if (text == "none") return biases;
  std::istringstream words(text);
  for (std::string word; words >> word;) {
    const std::size_t colon = word.find(':');
    if (colon == word.npos) fail(ErrorKind::usage, "'{}' is no ID:VALUE", word);
    biases[number_of<std::int32_t>(word.substr(0, colon))] =
        number_of<float>(word.substr(colon + 1));
  }
  return biases;
}

std::string text_of_biases(const std::map<std::int32_t, float>& biases) {
  std::string text;
  for (const auto& [token, bias] : biases)
    text += fmt::format("{}{}:{}", text.empty() ? "" : " ", token, bias);
  return text.empty() ? "none" : text;
}

template <float engine::SamplingParams::*member>
void parse_float(Settings& settings, const std::string& text) {
  settings.sampling.*member = number_of<float>(text);
}
template <float engine::SamplingParams::*member>
std::string show_float(const Settings& settings) {
  return fmt::format("{}", settings.sampling.*member);
}
template <float engine::SamplingParams::*member>
constexpr Setting float_setting(const char* name, const char* help) {
  return {name, "X", help, SettingScope::any, parse_float<member>, show_float<member>};
}

void check_ranges(const Settings& settings, std::int32_t vocabulary) {
  settings.sampling.validate(vocabulary);
  if (settings.max_tokens < 0)
    fail(ErrorKind::usage, "{} is less than 0 (no limit)", settings.max_tokens);
  if (std::any_of(settings.stops.begin(), settings.stops.end(),
                  [](const auto& stop) { return stop.empty(); }))
    fail(ErrorKind::usage, "a stop string is empty");
}

std::string underscored(std::string name) {
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
}

}  // namespace

const std::vector<Setting>& setting_table() {
  using S = Settings;
  using P = engine::SamplingParams;
  using enum SettingScope;
  static const std::vector<Setting> kTable = {
      float_setting<&P::temperature>("temperature", "0: always the likeliest token"),
      {"top_k", "N", "Draw from the N likeliest tokens; 0: all", any,
       [](S& s, const std::string& t) { s.sampling.top_k = number_of<int>(t); },
       [](const S& s) { return std::to_string(s.sampling.top_k); }},
      float_setting<&P::top_p>("top_p", "Draw from the likeliest tokens that together have X"),
      float_setting<&P::min_p>("min_p", "Leave out tokens below X times the likeliest"),
      float_setting<&P::repetition_penalty>(
          "repetition_penalty", "Divide the logits of tokens already in the context; 1: none"),
      float_setting<&P::presence_penalty>("presence_penalty",
                                          "Subtract from tokens already in the answer"),
      float_setting<&P::frequency_penalty>("frequency_penalty",
                                           "Subtract for each time a token is in the answer"),
      {"seed", "N", "The same seed draws the same answer", any,
       [](S& s, const std::string& t) { s.sampling.seed = number_of<std::uint64_t>(t); },
       [](const S& s) { return std::to_string(s.sampling.seed); }},
      {"max_tokens", "N", "End an answer after N tokens; 0: no limit", any,
       [](S& s, const std::string& t) { s.max_tokens = number_of<std::int64_t>(t); },
       [](const S& s) { return std::to_string(s.max_tokens); }},
      {"stop", "TEXT",
       "End an answer before TEXT; a JSON array gives several, 'none' takes them away", any,
       [](S& s, const std::string& t) { s.stops = stops_of(t); },
       [](const S& s) { return text_of_stops(s.stops); }},
      {"logit_bias", "ID:VALUE",
       "Add VALUE to the logit of token ID (-inf bans it); 'none' ends it", any,
       [](S& s, const std::string& t) { s.sampling.logit_bias = biases_of(t); },
       [](const S& s) { return text_of_biases(s.sampling.logit_bias); }},
      {"speed", "on|off", "The line with tokens per second on standard error", any,
       [](S& s, const std::string& t) {
         s.speed = choice_of<SpeedLine>(t, {{"on", SpeedLine::on}, {"off", SpeedLine::off}});
       },
       [](const S& s) { return std::string(s.speed == SpeedLine::on ? "on" : "off"); }},
      {"thinking", "on|off|auto", "Whether the model is asked to reason; auto: as its format does",
       chat,
       [](S& s, const std::string& t) {
         s.thinking = choice_of<Thinking>(
             t, {{"on", Thinking::on}, {"off", Thinking::off}, {"auto", Thinking::unset}});
       },
       [](const S& s) {
         return std::string(s.thinking == Thinking::on    ? "on"
                            : s.thinking == Thinking::off ? "off"
                                                          : "auto");
       }},
      {"reasoning", "show|fold|hide", "What is printed of it; /reasoning prints it afterwards",
       chat,
       [](S& s, const std::string& t) {
         s.reasoning = choice_of<ReasoningShown>(t, {{"show", ReasoningShown::show},
                                                     {"fold", ReasoningShown::fold},
                                                     {"hide", ReasoningShown::hide}});
       },
       [](const S& s) {
         return std::string(s.reasoning == ReasoningShown::show   ? "show"
                            : s.reasoning == ReasoningShown::fold ? "fold"
                                                                  : "hide");
       }},
      {"context_end", "stop|drop",
       "When the context is full: refuse the message, or leave out the oldest exchanges", chat,
       [](S& s, const std::string& t) {
         s.context_end =
             choice_of<ContextEnd>(t, {{"stop", ContextEnd::stop}, {"drop", ContextEnd::drop}});
       },
       [](const S& s) { return std::string(s.context_end == ContextEnd::stop ? "stop" : "drop"); }},
  };
  return kTable;
}

Settings default_settings(const GenerationDefaults& defaults, const Environment& environment) {
  Settings settings;
  engine::SamplingParams& sampling = settings.sampling;
  sampling.temperature = 0.7f;
  sampling.top_p = 0.95f;
  const auto advised = [&](const char* name, const auto& value, auto& member) {
    if (!value) return;
    member = *value;
    settings.origin[name] = "the model's generation_config";
  };
  // Who advises a temperature has chosen its cuts with it.
  if (defaults.temperature) sampling.top_p = 1;
  advised("temperature", defaults.temperature, sampling.temperature);
  advised("top_p", defaults.top_p, sampling.top_p);
  advised("top_k", defaults.top_k, sampling.top_k);
  advised("min_p", defaults.min_p, sampling.min_p);
  advised("repetition_penalty", defaults.repetition_penalty, sampling.repetition_penalty);
  std::random_device random;
  sampling.seed = random();  // 32 bits: short enough to read out and type again
  settings.origin["seed"] = "random";
  if (!environment.stdout_terminal) settings.reasoning = ReasoningShown::hide;
  return settings;
}

const Setting& find_setting(const std::string& name) {
  const std::string key = underscored(name);
  for (const Setting& setting : setting_table()) {
    if (key == setting.name) return setting;
  }
  std::vector<std::string> names;
  for (const Setting& setting : setting_table()) names.emplace_back(setting.name);
  throw make_error(ErrorKind::usage, "there is no setting '{}'", name)
      .hint("{}", suggestion(key, names));
}

void apply_setting(Settings& settings, const std::string& name, const std::string& value,
                   const std::string& origin, std::int32_t vocabulary) {
  const Setting& setting = find_setting(name);
  Settings changed = settings;
  try {
    setting.parse(changed, value);
    check_ranges(changed, vocabulary);
  } catch (const Error& error) {
    const bool named = error.message().starts_with(setting.name);
    throw make_error(ErrorKind::usage, "{}{}", named ? "" : fmt::format("{}: ", setting.name),
                     error.message())
        .hint("expected {}: {}", setting.value, setting.help);
  }
  changed.origin[setting.name] = origin;
  settings = std::move(changed);
}

std::string settings_text(const Settings& settings) {
  std::string text;
  for (const Setting& setting : setting_table()) {
    const auto origin = settings.origin.find(setting.name);
    text += fmt::format("  {:<18} {:<12} {}\n", setting.name, setting.show(settings),
                        origin == settings.origin.end() ? "nautile's default" : origin->second);
  }
  return text;
}

void add_setting_options(CLI::App& verb, GivenSettings& given, SettingScope scope) {
  for (const Setting& setting : setting_table()) {
    if (setting.scope == SettingScope::chat && scope == SettingScope::any) continue;
    const std::string name = setting.name;
    std::string option = "--" + name;
    std::replace(option.begin(), option.end(), '_', '-');
    if (name == "temperature") option += ",--temp";
    if (name == "max_tokens") option = "-n," + option;
    CLI::Option* added = nullptr;
    if (name == "stop" || name == "logit_bias") {
      added = verb.add_option_function<std::vector<std::string>>(
          option,
          [&given, name](const std::vector<std::string>& values) {
            // Each use adds one; the setting takes them all at once.
            std::string all;
            if (name == "stop") {
              all = text_of_stops(values);
            } else {
              for (const std::string& value : values) all += (all.empty() ? "" : " ") + value;
            }
            given.emplace_back(name, all);
          },
          setting.help);
      added->expected(1)
          ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)
          ->allow_extra_args(false);
    } else {
      added = verb.add_option_function<std::string>(
          option, [&given, name](const std::string& value) { given.emplace_back(name, value); },
          setting.help);
    }
    added->type_name(setting.value)->group("Answer");
  }
}

}  // namespace nautile::app
