// isa.h — Isa: the instruction sets nautile has tables for. Safe inside ISA objects.
#pragma once

#include <cstdint>
#include <string_view>

namespace nautile {

enum class Isa : std::uint8_t {
  reference,    // plain C++, the specification
  avx2,         // AVX2, FMA, F16C
  avx512_vnni,  // AVX-512 F, BW, DQ, VL, VNNI
  avx512,       // these and AVX-512 BF16
  amx,          // these and AMX TILE, BF16, with the kernel's permission
};
inline constexpr int kIsaCount = 5;

constexpr std::string_view name(Isa isa) {
  constexpr std::string_view kNames[] = {"reference", "avx2", "avx512_vnni", "avx512", "amx"};
  return kNames[static_cast<int>(isa)];
}

}  // namespace nautile
