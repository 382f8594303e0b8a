// formats_avx2.inl — the formats of a table for AVX2 and F16C: defines kFormatTable, as formats.inl
// does.
//
// Needs <immintrin.h> besides what formats.inl needs.

#include "kernels/format_ops_avx2.inl"
// The decoders are written over the ops.
#include "kernels/formats_table.inl"
