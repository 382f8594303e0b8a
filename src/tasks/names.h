// names.h — first names that problems tell of.
#pragma once

#include <array>

namespace nautile::tasks {

inline constexpr std::array<const char*, 48> kNames = {
    "Anna",  "Ben",  "Clara", "David", "Emma",  "Felix",  "Grace", "Henry", "Ines", "Jack",
    "Kate",  "Leo",  "Maria", "Noah",  "Olga",  "Paul",   "Rosa",  "Sam",   "Tina", "Umar",
    "Vera",  "Will", "Yara",  "Zoe",   "Ada",   "Bruno",  "Cleo",  "Dora",  "Emil", "Fatima",
    "Gita",  "Hugo", "Ida",   "Jonas", "Karim", "Lena",   "Mateo", "Nina",  "Omar", "Priya",
    "Quinn", "Ravi", "Sofia", "Tom",   "Ulla",  "Victor", "Wanda", "Yusuf"};

}  // namespace nautile::tasks
