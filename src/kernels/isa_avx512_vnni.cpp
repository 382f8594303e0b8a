// isa_avx512_vnni.cpp — the avx512_vnni table: avx512's text, but for the products of BF16 pairs.
#include <immintrin.h>

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "base/bf16.h"
#include "base/f8.h"
#include "kernels/kernels.h"

namespace nautile::kernels::avx512_vnni {
namespace {
// Each part is written over the parts before it.
// clang-format off
#include "kernels/vec_avx512.h"
#include "kernels/tile_avx512.h"
#include "kernels/bf16_fma.h"
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
constinit const Kernels table = {.isa = Isa::avx512_vnni,
                                 .rows = kRowTable,
                                 .panels = kPanelTable,
                                 .attention = kAttentionTable,
                                 .gradients = kGradientTable,
                                 .formats = kFormatTable};
}  // namespace nautile::kernels::avx512_vnni
