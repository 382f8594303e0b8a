// isa_amx_emulated.cpp — the same text as isa_amx.cpp over emulated tiles; tests alone link it.
#include <immintrin.h>

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "base/bf16.h"
#include "kernels/amx_tiles.h"

namespace nautile::kernels::amx_emulated {
namespace {
// Each part is written over the parts before it.
// clang-format off
#include "kernels/vec_avx512.h"
#include "kernels/tile_avx512.h"
// The tile registers:
#include "kernels/amx_config.h"
#include "kernels/amx_emulated.h"
// The products:
#include "kernels/tile_amx.h"
// clang-format on
}  // namespace

extern constinit const AmxTiles tiles;
constinit const AmxTiles tiles = kTiles;
}  // namespace nautile::kernels::amx_emulated
