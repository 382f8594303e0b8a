// recipe_model.h — the [model] table of a recipe: which model is trained, and from what.
#pragma once

#include "train/recipe.h"

namespace nautile::train {

// Sets hf_config, model, from, init_std. max_position_embeddings is data.seq_len unless given.
// `resumed_config`, if it is not empty, is the config.json to begin with: what model.from or
// model.config name need not be there any more.
void read_model(RecipeValues& values, Recipe& recipe, const std::string& resumed_config);

}  // namespace nautile::train
