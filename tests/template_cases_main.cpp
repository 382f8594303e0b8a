// template_cases_main.cpp — renders templates for the oracle: JSON lines in, JSON lines out.
//
// in:  {"template": "…", "variables": {…}, "now": 0}   (template may be left out: the last one
// again) out: {"text": "…"} or {"error": "…"}
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "base/error.h"
#include "text/jinja_template.h"

namespace {

using Json = nlohmann::ordered_json;

nautile::Origin from_outside(std::string_view, std::string_view) {
  return nautile::Origin::user;
}

Json render(const nautile::jinja::Template& compiled, const Json& variables, std::time_t now) {
  std::vector<nautile::jinja::Variable> list;
  for (const auto& [name, value] : variables.items()) list.push_back({name, &value, from_outside});
  return {{"text", compiled.render(list, nautile::jinja::Budgets(), now).bytes()}};
}

}  // namespace

int main() {
  std::ios::sync_with_stdio(false);
  std::unique_ptr<nautile::jinja::Template> compiled;
  std::string compile_error;
  for (std::string line; std::getline(std::cin, line);) {
    Json answer;
    try {
      const Json request = Json::parse(line);
      if (request.contains("template")) {
        compiled.reset();
        try {
          compiled =
              std::make_unique<nautile::jinja::Template>(request["template"].get<std::string>());
        } catch (const nautile::Error& error) {
          compile_error = error.what();
        }
      }
      answer = compiled
                   ? render(*compiled, request["variables"], request.value("now", std::time_t{0}))
                   : Json{{"error", compile_error}};
    } catch (const nautile::Error& error) {
      answer = {{"error", error.what()}};
    }
    std::cout << answer.dump() << '\n';
  }
}
