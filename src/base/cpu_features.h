// cpu_features.h — which instruction sets this CPU, and its kernel, can run.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/isa.h"

namespace nautile {

struct CpuFeatures {
  std::string model;                 // as the CPU names itself
  std::vector<std::string> present;  // of the features tables ask for
  std::vector<std::string> absent;
  bool supports[kIsaCount] = {};  // reference always

  bool can(Isa isa) const { return supports[static_cast<int>(isa)]; }
  Isa best() const;  // the table chosen where nobody asks for one
};

// Asks the CPU and, for AMX, the kernel (arch_prctl) once.
const CpuFeatures& cpu_features();

// Parses a table's name (NAUTILE_ISA, --isa). Throws Error(usage) for an unknown name, and
// Error(unsupported), naming the missing features, for one that this CPU cannot run.
Isa isa_by_name(std::string_view text);

}  // namespace nautile
