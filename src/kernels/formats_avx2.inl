// formats_avx2.inl — the formats of a table for AVX2 and F16C: defines kFormatTable, as formats.inl
// does.
//
// Needs <immintrin.h> besides what formats.inl needs.

#include "kernels/format_ops_avx2.inl"
// The loop for few rows and the decoders are written over the ops.
#include "kernels/dot_none.inl"
// The table puts both together.
#include "kernels/formats_table.inl"
