// format_ops_plain.inl — pieces of the format decoders in plain C++; included inside a table's
// namespace.
//
// The seam between formats and instruction sets: format_ops_avx2.inl and format_ops_avx512.inl
// offer the same names with the same results.

#include "kernels/format_ops_common.inl"

// 32 codes of one byte each.
struct Codes {
  i8 v[32];
};

NAUTILE_INLINE float half_at(const u8* p) {
  return half_to_float(value_at<std::uint16_t>(p));
}

NAUTILE_INLINE Codes load_codes(const u8* p) {
  Codes x;
  std::memcpy(x.v, p, 32);
  return x;
}
NAUTILE_INLINE void store_codes(i8* p, const Codes& x) {
  std::memcpy(p, x.v, 32);
}

// The nibbles of 16 bytes: the low ones, then the high ones.
NAUTILE_INLINE Codes split_nibbles(const u8* p) {
  Codes x;
  for (int i = 0; i < 16; ++i) x.v[i] = static_cast<i8>(p[i] & 15);
  for (int i = 0; i < 16; ++i) x.v[i + 16] = static_cast<i8>(p[i] >> 4);
  return x;
}

// kBits bits of each byte, from bit kFrom on, moved to bit kTo.
template <int kFrom, int kBits, int kTo = 0>
NAUTILE_INLINE Codes field(const Codes& x) {
  Codes y;
  for (int i = 0; i < 32; ++i) {
    y.v[i] = static_cast<i8>(((static_cast<u8>(x.v[i]) >> kFrom) & ((1 << kBits) - 1)) << kTo);
  }
  return y;
}

NAUTILE_INLINE Codes either(const Codes& a, const Codes& b) {
  Codes y;
  for (int i = 0; i < 32; ++i) y.v[i] = static_cast<i8>(a.v[i] | b.v[i]);
  return y;
}

template <int kBias>
NAUTILE_INLINE Codes less(const Codes& x) {
  Codes y;
  for (int i = 0; i < 32; ++i) y.v[i] = static_cast<i8>(x.v[i] - kBias);
  return y;
}

// 16 for each set bit of the 32 bits at p.
NAUTILE_INLINE Codes fifth_bits(const u8* p) {
  Codes y;
  for (int i = 0; i < 32; ++i) y.v[i] = static_cast<i8>(((p[i / 8] >> (i % 8)) & 1) << 4);
  return y;
}

NAUTILE_INLINE Codes iq4_values(const Codes& places) {
  Codes y;
  for (int i = 0; i < 32; ++i) y.v[i] = kIq4Values[static_cast<u8>(places.v[i])];
  return y;
}

// out[i] = d·(code i − kBias) for the eight bytes of `codes`; the product is exact.
template <int kBias = 0>
NAUTILE_INLINE void scale8(std::uint64_t codes, float d, float* out) {
  i8 bytes[8];
  std::memcpy(bytes, &codes, 8);
  for (int i = 0; i < 8; ++i) out[i] = d * static_cast<float>(bytes[i] - kBias);
}

// out[i] = scale·x[i], or scale·x[i] + offset with a rounding at the sum; a scale for kGroup codes.
template <int kGroup, bool kAffine>
NAUTILE_INLINE void scale_codes(const Codes& x, const float* scale, const float* offset,
                                float* out) {
  for (int i = 0; i < 32; ++i) {
    out[i] = scale[i / kGroup] * static_cast<float>(x.v[i]);
    if constexpr (kAffine) out[i] += offset[i / kGroup];
  }
}

static void widen_f16(const u8* in, int count, float* out) {
  for (int i = 0; i < count; ++i) out[i] = half_at(in + 2 * i);
}
static void widen_bf16(const u8* in, int count, float* out) {
  for (int i = 0; i < count; ++i) out[i] = bf16_at(in + 2 * i);
}
static void widen_f8(const u8* in, int count, float* out) {
  for (int i = 0; i < count; ++i) out[i] = f8_e4m3_to_float(in[i]);
}
