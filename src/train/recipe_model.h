// recipe_model.h — the [model] table of a recipe: which model is trained, and from what.
#pragma once

#include "train/recipe.h"

namespace nautile::train {

// Sets hf_config, model, from, init_std. max_position_embeddings is data.seq_len unless given.
void read_model(RecipeValues& values, Recipe& recipe);

}  // namespace nautile::train
