// formats_table.inl — from decoders of blocks to kFormatTable; needs the format_ops of an
// instruction set.

#include "kernels/formats_simple.inl"
// Super-blocks use the helpers of the simple formats.
#include "kernels/formats_k.inl"

template <class F>
struct Unpack {
  static constexpr int kBlock = info(F::kFormat).block;
  static constexpr int kBytes = info(F::kFormat).block_bytes;
  static constexpr int kGroups = kBlock / F::kGroup;
  static constexpr bool kAffine = F::kOffsets == Offsets::per_group;

  static void f32(const std::byte* blocks, int count, float* out) noexcept {
    const u8* block = reinterpret_cast<const u8*>(blocks);
    for (int c = 0; c < count; c += kBlock, block += kBytes, out += kBlock) {
      alignas(64) i8 q[kBlock];
      float scale[kGroups];
      float offset[kGroups];
      F::decode(block, q, scale, offset);
      for (int g = 0; g < kGroups; ++g) {
        if constexpr (kAffine) {
          scale_codes<F::kGroup>(q + g * F::kGroup, scale[g], offset[g], out + g * F::kGroup);
        } else {
          scale_codes<F::kGroup>(q + g * F::kGroup, scale[g], out + g * F::kGroup);
        }
      }
    }
  }

  static void codes(const std::byte* blocks, int count, std::int8_t* q, float* scale,
                    float* offset) noexcept {
    const u8* block = reinterpret_cast<const u8*>(blocks);
    for (int c = 0; c < count; c += kBlock, block += kBytes, q += kBlock) {
      float scales[kGroups];
      float offsets[kGroups];
      F::decode(block, q, scales, offsets);
      store_scales<kGroups>(scales, scale);
      scale += kGroups * kPanelRows;
      if constexpr (kAffine) {
        store_scales<kGroups>(offsets, offset);
        offset += kGroups * kPanelRows;
      }
    }
  }

  static constexpr FormatKernels kKernels = {&f32, &codes, F::kGroup, F::kOffsets};
};

static constexpr FormatKernels kFormatTable[kFormatCount] = {
    {unpack_f32, nullptr, 0, Offsets::none},
    {unpack_f16, nullptr, 0, Offsets::none},
    {unpack_bf16, nullptr, 0, Offsets::none},
    {unpack_f8, nullptr, 0, Offsets::none},
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
