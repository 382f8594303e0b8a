// isa_avx512.cpp — the avx512 table: the common loops over this instruction set's registers.
#include <immintrin.h>

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "base/bf16.h"
#include "base/f8.h"
#include "kernels/kernels.h"

namespace nautile::kernels::avx512 {
namespace {
// Each part is written over the parts before it.
// clang-format off
#include "kernels/vec_avx512.h"
#include "kernels/tile_avx512.h"
#include "kernels/bf16_avx512.h"
#include "kernels/vec_bits_avx512.h"
#include "kernels/pairs.inl"
#include "kernels/rows.inl"
#include "kernels/pack.inl"
#include "kernels/attention.inl"
#include "kernels/gradients.inl"
#include "kernels/gemm.inl"
#include "kernels/formats_avx512.inl"
#include "kernels/table.inl"
// clang-format on
}  // namespace

extern constinit const Kernels table;
constinit const Kernels table = {.isa = Isa::avx512,
                                 .rows = kRowTable,
                                 .panels = kPanelTable,
                                 .attention = kAttentionTable,
                                 .gradients = kGradientTable,
                                 .formats = kFormatTable};
}  // namespace nautile::kernels::avx512
