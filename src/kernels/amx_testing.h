// amx_testing.h — the amx table over emulated tiles, which runs on every CPU that has avx512.
#pragma once

#include "base/cpu_features.h"
#include "kernels/amx_tiles.h"

namespace nautile::kernels {

namespace amx_emulated {
extern const AmxTiles tiles;  // isa_amx_emulated.cpp
}

namespace testing {

// Null where the CPU lacks avx512, whose table the amx table is built on.
inline const Kernels* emulated_amx() {
  if (!cpu_features().can(Isa::avx512)) return nullptr;
  static const Kernels kernels = with_tiles(table(Isa::avx512), amx_emulated::tiles);
  return &kernels;
}

}  // namespace testing
}  // namespace nautile::kernels
