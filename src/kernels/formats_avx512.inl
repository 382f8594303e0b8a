// formats_avx512.inl — the formats of a table for AVX-512: defines kFormatTable, as formats.inl
// does.
//
// Needs <immintrin.h> besides what formats.inl needs, and the table's registers and tiles.

#include "kernels/format_ops_avx512.inl"
// The loop for few rows and the decoders are written over the ops.
#include "kernels/dot_avx512.inl"
// Its innermost part is there, the rest here.
#include "kernels/dot.inl"
// The table puts both together.
#include "kernels/formats_table.inl"
