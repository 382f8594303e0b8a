// cpu_features_testing.h — the tables of kernels that tests try.
#pragma once

#include <cstdlib>
#include <vector>

#include "base/cpu_features.h"

namespace nautile::testing_tools {

// All that this CPU can run. Where NAUTILE_EMULATED says that the CPU is emulated, without the
// reference table: its instructions are every CPU's, and it would take most of the time.
inline std::vector<Isa> tables_to_try() {
  std::vector<Isa> list;
  for (int i = std::getenv("NAUTILE_EMULATED") ? 1 : 0; i < kIsaCount; ++i) {
    if (cpu_features().can(static_cast<Isa>(i))) list.push_back(static_cast<Isa>(i));
  }
  return list;
}

}  // namespace nautile::testing_tools
