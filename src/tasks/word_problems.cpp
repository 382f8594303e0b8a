// word_problems.cpp — chooses a story and tells it.
#include "tasks/story.h"

namespace nautile::tasks {

Problem draw_word_problem(Draw& draw) {
  Story story(draw);
  const auto& stories = draw.chance(0.5) ? possession_stories() : measure_stories();
  return draw.pick(stories)(story);
}

}  // namespace nautile::tasks
