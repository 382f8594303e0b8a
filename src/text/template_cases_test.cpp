// template_cases_test.cpp — the interpreter against answers that jinja2 gave
// (tools/oracle/template_oracle.py --write).
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <memory>

#include "base/error.h"
#include "text/jinja_template.h"

namespace nautile {
namespace {

using Json = nlohmann::ordered_json;

std::vector<jinja::Variable> as_variables(const Json& values) {
  std::vector<jinja::Variable> variables;
  for (const auto& [name, value] : values.items()) {
    variables.push_back({name, &value, [](auto, auto) { return Origin::user; }});
  }
  return variables;
}

TEST(TemplateCases, AgreeWithJinja2) {
  setenv("TZ", "UTC", 1);  // strftime_now prints local time; the answers are for UTC
  std::ifstream file("tests/data/template_cases.jsonl");
  ASSERT_TRUE(file) << "run from the source root";
  Json defaults;
  std::unique_ptr<jinja::Template> compiled;
  std::string source;
  int cases = 0, raising = 0;
  for (std::string line; std::getline(file, line);) {
    const Json record = Json::parse(line);
    if (record.contains("defaults")) {
      defaults = record["defaults"];
      continue;
    }
    std::string text, error;
    try {
      if (record.contains("template")) {
        compiled.reset();
        source = record["template"].get<std::string>();
        compiled = std::make_unique<jinja::Template>(source);
      }
      if (!compiled) continue;
      const Json& values = record.contains("variables") ? record["variables"] : defaults;
      text = compiled->render(as_variables(values), jinja::Budgets(), 0).bytes();
    } catch (const Error& e) {
      error = e.what();
    }
    ++cases;
    if (record["text"].is_null()) {
      ++raising;
      EXPECT_FALSE(error.empty()) << source << "\nshould raise, gave: " << text;
    } else {
      EXPECT_EQ(error, "") << source;
      EXPECT_EQ(text, record["text"].get<std::string>()) << source;
    }
  }
  EXPECT_GT(cases, 1000);
  EXPECT_GT(raising, 150);
}

}  // namespace
}  // namespace nautile
