// amx_tiles.h — the part of the amx table that is not the avx512 table's: products in tiles.
#pragma once

#include "kernels/kernels.h"

namespace nautile::kernels {

// Members of PanelKernels, with their contracts.
struct AmxTiles {
  decltype(PanelKernels::multiply_bf16) multiply_bf16;
  decltype(PanelKernels::multiply_f8) multiply_f8;
};

// `base`, which is the avx512 table, with these products.
Kernels with_tiles(const Kernels& base, const AmxTiles& tiles);

namespace amx {
extern const AmxTiles tiles;  // on the CPU's tiles
}

}  // namespace nautile::kernels
