// quantize.h — from F32 to every Format: the writers of what the tables' unpack functions read.
//
// Baseline code, pure functions; nothing is allocated. Input is meant to be finite: any other value
// gives some code, never undefined behaviour. Scales are half floats, so that a block of magnitudes
// beyond about 65504 steps decodes to infinities; such weights do not belong into a block format.
#pragma once

#include <cstddef>

#include "base/format.h"
#include "kernels/kernels.h"

namespace nautile::kernels {

// One row: x [count] to row_bytes(format, count) bytes at `out`; count is a multiple of the block.
// Q8_0, Q4_0, Q4_1, Q5_0 and Q5_1 follow GGML's reference to the bit. The super-blocks and IQ4
// minimise the squared error by a search. F8_E4M3 is written without a scale. Not for I32.
void quantize_row(Format format, const float* x, int count, std::byte* out) noexcept;

// A matrix x [rows][cols] to F8_E4M3 with one scale per block of 128×128 (DeepSeek-V3
// README_WEIGHTS): out [rows][cols], scales [ceil(rows/128)][ceil(cols/128)]; x ≈ out·scale, where
// scale is amax/448, or the next power of two from there. A block of zeros has scale 1.
void quantize_f8_blocks(const float* x, int rows, int cols, F8Scale style, std::byte* out,
                        float* scales) noexcept;

// Super-blocks of 256 weights: Q2_K … Q6_K and IQ4_XS; IQ4_NL has blocks of 32. Used by
// quantize_row.
void quantize_super_block(Format format, const float* x, std::byte* out) noexcept;
void quantize_iq4_nl(const float* x, std::byte* out) noexcept;

}  // namespace nautile::kernels
