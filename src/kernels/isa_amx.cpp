// isa_amx.cpp — the amx table's own products; the rest of the table is avx512's (dispatch.cpp).
#include <immintrin.h>

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "base/bf16.h"
#include "kernels/amx_tiles.h"

namespace nautile::kernels::amx {
namespace {
// Each part is written over the parts before it.
// clang-format off
#include "kernels/vec_avx512.h"
#include "kernels/tile_avx512.h"
// The tile registers:
#include "kernels/amx_config.h"
#include "kernels/amx_real.h"
// The products:
#include "kernels/tile_amx.h"
// clang-format on
}  // namespace

extern constinit const AmxTiles tiles;
constinit const AmxTiles tiles = kTiles;
}  // namespace nautile::kernels::amx
