// cpu_features.h — Isa: the instruction sets nautile has tables for, and which this CPU can run.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace nautile {

enum class Isa : std::uint8_t {
  reference,  // plain C++, the specification
  avx2,       // AVX2, FMA, F16C
  avx512,     // AVX-512 F, BW, DQ, VL, VNNI, BF16
  amx,        // avx512 and AMX TILE, INT8, BF16, with the kernel's permission
};
inline constexpr int kIsaCount = 4;

constexpr std::string_view name(Isa isa) {
  constexpr std::string_view kNames[] = {"reference", "avx2", "avx512", "amx"};
  return kNames[static_cast<int>(isa)];
}

struct CpuFeatures {
  std::string model;                 // as the CPU names itself
  std::vector<std::string> present;  // of the features tables ask for
  std::vector<std::string> absent;
  bool supports[kIsaCount] = {};     // reference always

  bool can(Isa isa) const { return supports[static_cast<int>(isa)]; }
  Isa best() const;
};

// Asks the CPU and, for AMX, the kernel (arch_prctl) once.
const CpuFeatures& cpu_features();

// Parses a table's name (NAUTILE_ISA, --isa). Throws Error(usage) for an unknown name, and
// Error(unsupported), naming the missing features, for one that this CPU cannot run.
Isa isa_by_name(std::string_view text);

}  // namespace nautile
