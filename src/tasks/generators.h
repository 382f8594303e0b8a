// generators.h — the drawing functions of the tasks; task.cpp lists them.
#pragma once

#include <string>

#include "tasks/task.h"

namespace nautile::tasks {

// Numbers 1–20; target 10–50 of three, 10–100 of four. Built from a random expression of whole
// numbers without negative values, so every problem has a solution; the target is not among the
// numbers.
Problem draw_countdown3(Draw& draw);
Problem draw_countdown4(Draw& draw);
// Sums and differences of 1–6 digits, products of up to 3 by 2 digits.
Problem draw_arithmetic(Draw& draw);
Problem draw_word_problem(Draw& draw);
Problem draw_logic(Draw& draw);

// "12+5=17", now and then with a slip that is noticed: "12+5=16, no, that is 17".
std::string equation(Draw& draw, std::int64_t a, char op, std::int64_t b);
// a op b; of '/' the exact quotient.
std::int64_t compute(std::int64_t a, char op, std::int64_t b);

}  // namespace nautile::tasks
