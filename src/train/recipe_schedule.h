// recipe_schedule.h — the [schedule] table of a recipe: learning rate, weights of losses, batch.
#pragma once

#include "train/recipe.h"

namespace nautile::train {

// Sets trainer.schedule; the run's tokens and slots are known.
void read_schedule(RecipeValues& values, Recipe& recipe);

}  // namespace nautile::train
