// dispatch.cpp — the only place that knows which tables exist. Tables are constant data: asking for
// one runs no code of its instruction set.
#include "kernels/amx_tiles.h"

namespace nautile::kernels {

namespace reference {
extern const Kernels table;
}
namespace avx2 {
extern const Kernels table;
}
namespace avx512_vnni {
extern const Kernels table;
}
namespace avx512 {
extern const Kernels table;
}

Kernels with_tiles(const Kernels& base, const AmxTiles& tiles) {
  Kernels table = base;
  table.isa = Isa::amx;
  table.panels.bf16_tiles = true;
  table.panels.multiply_bf16 = tiles.multiply_bf16;
  table.panels.multiply_f8 = tiles.multiply_f8;
  return table;
}

// All but the products of BF16 is avx512's: tiles have nothing to offer it.
static const Kernels& amx_table() {
  static const Kernels table = with_tiles(avx512::table, amx::tiles);
  return table;
}

const Kernels& table(Isa isa) {
  switch (isa) {
    case Isa::reference:
      return reference::table;
    case Isa::avx2:
      return avx2::table;
    case Isa::avx512_vnni:
      return avx512_vnni::table;
    case Isa::avx512:
      return avx512::table;
    case Isa::amx:
      return amx_table();
  }
  return reference::table;
}

}  // namespace nautile::kernels
