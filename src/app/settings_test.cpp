// settings_test.cpp — every setting by its text, defaults and who said so, and what is refused.
#include "app/settings.h"

#include <gtest/gtest.h>

#include "app/printer.h"
#include "base/error.h"

namespace nautile::app {
namespace {

constexpr std::int32_t kVocabulary = 100;

void set(Settings& settings, const std::string& name, const std::string& value) {
  apply_setting(settings, name, value, "test", kVocabulary);
}

std::string refusal(const std::string& name, const std::string& value) {
  Settings settings;
  try {
    set(settings, name, value);
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::usage);
    return error.message();
  }
  return "";
}

TEST(Settings, EachShowsWhatItParses) {
  const std::vector<std::pair<std::string, std::string>> values = {
      {"temperature", "0.35"},
      {"top_k", "40"},
      {"top_p", "0.9"},
      {"min_p", "0.05"},
      {"repetition_penalty", "1.1"},
      {"presence_penalty", "-0.5"},
      {"frequency_penalty", "2"},
      {"seed", "18446744073709551615"},
      {"max_tokens", "17"},
      {"stop", "[\"\\n\\n\",\"User:\"]"},
      {"logit_bias", "3:-inf 50:2.5"},
      {"speed", "off"},
      {"thinking", "on"},
      {"reasoning", "fold"},
      {"context_end", "drop"},
  };
  EXPECT_EQ(values.size(), setting_table().size());
  Settings settings;
  for (const auto& [name, value] : values) {
    set(settings, name, value);
    EXPECT_EQ(find_setting(name).show(settings), value) << name;
    EXPECT_EQ(settings.origin[name], "test");
  }
  EXPECT_EQ(settings.stops, (std::vector<std::string>{"\n\n", "User:"}));
  set(settings, "stop", "none");
  set(settings, "logit-bias", "none");
  EXPECT_TRUE(settings.stops.empty());
  EXPECT_TRUE(settings.sampling.logit_bias.empty());
}

TEST(Settings, RefusesAndKeepsWhatWas) {
  EXPECT_EQ(refusal("temperature", "warm"), "temperature: 'warm' is no number of its kind");
  EXPECT_EQ(refusal("top_p", "7"), "top_p is 7: expected a number from 0 to 1");
  EXPECT_EQ(refusal("top_k", "1.5"), "top_k: '1.5' is no number of its kind");
  EXPECT_EQ(refusal("seed", "-1"), "seed: '-1' is no number of its kind");
  EXPECT_EQ(refusal("max_tokens", "-1"), "max_tokens: -1 is less than 0 (no limit)");
  EXPECT_EQ(refusal("thinking", "maybe"), "thinking: 'maybe' is none of on, off, auto");
  EXPECT_EQ(refusal("tempo", "1"), "there is no setting 'tempo'");
  EXPECT_NE(refusal("temperature", "nan"), "");
  EXPECT_NE(refusal("logit_bias", "100:1"), "");
  EXPECT_NE(refusal("logit_bias", "5"), "");
  EXPECT_NE(refusal("stop", "[1]"), "");
  EXPECT_NE(refusal("stop", "[\"\"]"), "");
  EXPECT_NE(refusal("stop", "[["), "");
  Settings settings;
  set(settings, "top_p", "0.5");
  EXPECT_THROW(set(settings, "top_p", "2"), Error);
  EXPECT_EQ(settings.sampling.top_p, 0.5f);
}

TEST(Settings, TheModelsAdviceComesBeforeOurs) {
  const Environment environment;
  const Settings ours = default_settings({}, environment);
  EXPECT_EQ(ours.sampling.temperature, 0.7f);
  EXPECT_EQ(ours.sampling.top_p, 0.95f);
  EXPECT_EQ(ours.reasoning, ReasoningShown::hide);  // no terminal
  GenerationDefaults advice;
  advice.temperature = 0.6f;
  advice.top_k = 20;
  const Settings theirs = default_settings(advice, environment);
  EXPECT_EQ(theirs.sampling.temperature, 0.6f);
  EXPECT_EQ(theirs.sampling.top_k, 20);
  EXPECT_EQ(theirs.sampling.top_p, 1);
  EXPECT_EQ(theirs.origin.at("top_k"), "the model's generation_config");
}

TEST(Settings, OptionsAreMadeFromTheTable) {
  CLI::App verb;
  GivenSettings given;
  add_setting_options(verb, given, SettingScope::chat);
  verb.parse("--temp 0.5 --stop a --stop b -n 3 --logit-bias 3:-1 --logit-bias 4:2 --thinking off",
             false);
  Settings settings;
  for (const auto& [name, value] : given) set(settings, name, value);
  EXPECT_EQ(settings.sampling.temperature, 0.5f);
  EXPECT_EQ(settings.stops, (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(settings.max_tokens, 3);
  EXPECT_EQ(settings.sampling.logit_bias, (std::map<std::int32_t, float>{{3, -1}, {4, 2}}));
  EXPECT_EQ(settings.thinking, Thinking::off);
}

TEST(Printer, TerminalIsNotCommanded) {
  EXPECT_EQ(terminal_safe("plain é\n\ttext"), "plain é\n\ttext");
  EXPECT_EQ(terminal_safe("\033[2J"), "\xEF\xBF\xBD[2J");
  EXPECT_EQ(terminal_safe("a\rb\x7f"),
            "a\xEF\xBF\xBD"
            "b\xEF\xBF\xBD");
  EXPECT_EQ(terminal_safe("\xC2\x9B"
                          "x"),
            "\xEF\xBF\xBD"
            "x");  // CSI as one character
}

TEST(Printer, Durations) {
  EXPECT_EQ(duration_text(3.21), "3.2 s");
  EXPECT_EQ(duration_text(65.9), "1 min 5 s");
}

}  // namespace
}  // namespace nautile::app
