// formats_table.inl — from decoders to kFormatTable; included by formats*.inl after the format ops.

#include "kernels/formats_simple.inl"
// The super-blocks continue where the simple formats end.
#include "kernels/formats_k.inl"

template <class F>
struct Unpack {
  static constexpr int kBlock = info(F::kFormat).block;
  static constexpr int kBytes = info(F::kFormat).block_bytes;
  static constexpr int kGroups = kBlock / F::kGroup;
  static constexpr bool kAffine = F::kOffsets == Offsets::per_group;

  template <int P>
  NAUTILE_INLINE void values_from(const u8* block, const float* scale, const float* offset,
                                  float* out) {
    if constexpr (P < kBlock / 32) {
      constexpr int kFirst = P * 32 / F::kGroup;
      scale_codes<F::kGroup, kAffine>(F::template codes<P>(block), scale + kFirst, offset + kFirst,
                                      out + 32 * P);
      values_from<P + 1>(block, scale, offset, out);
    }
  }

  template <int P>
  NAUTILE_INLINE void codes_from(const u8* block, i8* q) {
    if constexpr (P < kBlock / 32) {
      store_codes(q + 32 * P, F::template codes<P>(block));
      codes_from<P + 1>(block, q);
    }
  }

  static void values(const std::byte* blocks, int count, float* out) noexcept {
    const u8* block = reinterpret_cast<const u8*>(blocks);
    for (int c = 0; c < count; c += kBlock, block += kBytes, out += kBlock) {
      float scale[kGroups];
      float offset[kGroups];
      F::scales(block, scale, offset);
      values_from<0>(block, scale, offset, out);
    }
  }

  static void codes(const std::byte* blocks, int count, i8* q, float* scale,
                    float* offset) noexcept {
    const u8* block = reinterpret_cast<const u8*>(blocks);
    for (int c = 0; c < count; c += kBlock, block += kBytes, q += kBlock) {
      float scales[kGroups];
      float offsets[kGroups];
      F::scales(block, scales, offsets);
      for (int g = 0; g < kGroups; ++g) scale[g * kPanelRows] = scales[g];
      scale += kGroups * kPanelRows;
      if constexpr (kAffine) {
        for (int g = 0; g < kGroups; ++g) offset[g * kPanelRows] = offsets[g];
        offset += kGroups * kPanelRows;
      }
      codes_from<0>(block, q);
    }
  }

  static constexpr FormatKernels kKernels = {&values,     &codes,      F::kGroup,
                                             F::kOffsets, dot_of<F>(), kDotRows};
};

static void unpack_f32(const std::byte* blocks, int count, float* out) noexcept {
  std::memcpy(out, blocks, static_cast<std::size_t>(count) * 4);
}
static void unpack_f16(const std::byte* blocks, int count, float* out) noexcept {
  widen_f16(reinterpret_cast<const u8*>(blocks), count, out);
}
static void unpack_bf16(const std::byte* blocks, int count, float* out) noexcept {
  widen_bf16(reinterpret_cast<const u8*>(blocks), count, out);
}
static void unpack_f8(const std::byte* blocks, int count, float* out) noexcept {
  widen_f8(reinterpret_cast<const u8*>(blocks), count, out);
}

static constexpr FormatKernels kFormatTable[kFormatCount] = {
    {unpack_f32, nullptr, 0, Offsets::none, nullptr},
    {unpack_f16, nullptr, 0, Offsets::none, nullptr},
    {unpack_bf16, nullptr, 0, Offsets::none, nullptr},
    {unpack_f8, nullptr, 0, Offsets::none, nullptr},
    Unpack<Q8_0>::kKernels,
    Unpack<Q4_0>::kKernels,
    Unpack<Q4_1>::kKernels,
    Unpack<Q5_0>::kKernels,
    Unpack<Q5_1>::kKernels,
    Unpack<Q2_K>::kKernels,
    Unpack<Q3_K>::kKernels,
    Unpack<Q4_K>::kKernels,
    Unpack<Q5_K>::kKernels,
    Unpack<Q6_K>::kKernels,
    Unpack<IQ4_NL>::kKernels,
    Unpack<IQ4_XS>::kKernels,
    {},  // I32 is no weight
};
