// formats.inl — the formats of one table in plain C++: defines kFormatTable, in the order of
// Format.
//
// Included inside `namespace nautile::kernels::<isa> { namespace { … } }` after <cstddef>,
// <cstdint>, <cstring>, base/bf16.h, base/f8.h and kernels/formats.h. Nothing here has external
// linkage.

#include "kernels/format_ops_plain.inl"
// The loop for few rows and the decoders are written over the ops.
#include "kernels/dot_none.inl"
// The table puts both together.
#include "kernels/formats_table.inl"
