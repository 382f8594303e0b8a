// isa.h — Isa: the instruction sets nautile has tables for. Safe inside ISA objects.
#pragma once

#include <cstdint>
#include <string_view>

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

}  // namespace nautile
