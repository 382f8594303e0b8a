// dispatch.cpp — the only place that knows which tables exist. Tables are constant data: asking for
// one runs no code of its instruction set.
#include "kernels/kernels.h"

namespace nautile::kernels {

namespace reference { extern const Kernels table; }
namespace avx2 { extern const Kernels table; }
namespace avx512 { extern const Kernels table; }

const Kernels& table(Isa isa) {
  switch (isa) {
    case Isa::reference: return reference::table;
    case Isa::avx2: return avx2::table;
    case Isa::avx512: return avx512::table;
    case Isa::amx: return avx512::table;
  }
  return reference::table;
}

}  // namespace nautile::kernels
