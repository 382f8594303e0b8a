// amx_tiles.h — the part of the amx table that is not the avx512 table's: BF16 and integer panels.
#pragma once

#include "kernels/kernels.h"

namespace nautile::kernels {

// Members of PanelKernels, with their contracts.
struct AmxTiles {
  decltype(PanelKernels::interleave_bf16) interleave_bf16;
  decltype(PanelKernels::interleave_bf16_rows) interleave_bf16_rows;
  decltype(PanelKernels::columns_bf16) columns_bf16;
  decltype(PanelKernels::columns_bf16_rows) columns_bf16_rows;
  decltype(PanelKernels::interleave_i8) interleave_i8;
  decltype(PanelKernels::multiply_bf16) multiply_bf16;
  decltype(PanelKernels::multiply_i8) multiply_i8;
  decltype(PanelKernels::multiply_f8) multiply_f8;
};

// `base`, which is the avx512 table, with these products.
Kernels with_tiles(const Kernels& base, const AmxTiles& tiles);

namespace amx {
extern const AmxTiles tiles;  // on the CPU's tiles
}

}  // namespace nautile::kernels
