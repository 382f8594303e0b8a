// recipe_fuzz.cpp — libFuzzer: any text as a recipe of training, and its plan.
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/error.h"
#include "train/cost.h"
#include "train/recipe.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace nautile::train;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  // Paths lead into the file system, which is not what is tried here.
  if (text.find("from") != text.npos || text.find("config") != text.npos) return 0;
  try {
    const Recipe recipe = parse_recipe(text, "folder/recipe.toml");
    if (recipe.slots < 1 || recipe.slot_rows < 1 || !(recipe.tokens > 0)) __builtin_trap();
    const Schedule schedule(recipe.trainer.schedule);
    for (const double share : {0.0, 0.3, 0.999, 2.0}) {
      if (!std::isfinite(schedule.at(100, share * recipe.tokens).rate)) __builtin_trap();
      if (recipe.slots_at(share * recipe.tokens) < 1) __builtin_trap();
    }
    if (!(training_memory(recipe).total() > 0)) __builtin_trap();
    if (!(run_cost(recipe, 100, 1e12).flops > 0)) __builtin_trap();
    // What is printed means the same.
    const Recipe again = parse_recipe(recipe_text(recipe.effective), "folder/recipe.toml");
    if (again.slots != recipe.slots || again.tokens != recipe.tokens) __builtin_trap();
  } catch (const nautile::Error&) {
  }
  return 0;
}
