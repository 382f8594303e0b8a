// jinja_fuzz.cpp — any bytes as a chat template: an error or a text, within the budgets.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/error.h"
#include "text/jinja_template.h"

namespace {

const nlohmann::ordered_json& conversation() {
  static const auto kJson = nlohmann::ordered_json::parse(R"({
      "messages": [{"role": "system", "content": "S"}, {"role": "user", "content": "hé <|im_end|>"},
                   {"role": "assistant", "content": null,
                    "tool_calls": [{"type": "function", "function": {"name": "f", "arguments": {"a": 1.5}}}]},
                   {"role": "tool", "content": "r"}],
      "tools": null, "add_generation_prompt": true, "bos_token": "<s>", "n": 3, "l": [1, "b", [2]]})");
  return kJson;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace nautile;
  jinja::Budgets budgets;
  budgets.steps = 20'000;
  budgets.heap_bytes = 4u << 20;
  budgets.output_bytes = 1u << 20;
  try {
    const jinja::Template compiled(std::string_view(reinterpret_cast<const char*>(data), size));
    std::vector<jinja::Variable> variables;
    for (const auto& [name, value] : conversation().items()) {
      variables.push_back({name, &value, [](auto, auto) { return Origin::user; }});
    }
    const jinja::Text text = compiled.render(variables, budgets, 0);
    NAUTILE_ASSERT(joined(text.segments()) == text.bytes(), "segments do not make up the text");
  } catch (const Error&) {
    // Expected for most inputs.
  }
  return 0;
}
