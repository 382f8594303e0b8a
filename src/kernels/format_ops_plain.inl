// format_ops_plain.inl — pieces of the format decoders in plain C++; included inside a table's
// namespace.
//
// The seam between formats and instruction sets: format_ops_avx2.inl offers the same names. Loops
// have constant bounds so that any compiler vectorises what its target allows.

#define NAUTILE_INLINE static inline __attribute__((always_inline))

using u8 = std::uint8_t;
using i8 = std::int8_t;

constexpr i8 kIq4Values[16] = {-127, -104, -83, -65, -49, -35, -22, -10,
                               1,    13,   25,  38,  53,  69,  89,  113};

// A half float at any address.
NAUTILE_INLINE float half_at(const u8* p) {
  std::uint16_t bits;
  std::memcpy(&bits, p, 2);
  return half_to_float(bits);
}

NAUTILE_INLINE void widen_f16(const u8* __restrict in, int count, float* __restrict out) {
  for (int i = 0; i < count; ++i) out[i] = half_at(in + 2 * i);
}

NAUTILE_INLINE void widen_bf16(const u8* __restrict in, int count, float* __restrict out) {
  for (int i = 0; i < count; ++i) {
    bf16 value;
    std::memcpy(&value, in + 2 * i, 2);
    out[i] = to_float(value);
  }
}

NAUTILE_INLINE void widen_f8(const u8* __restrict in, int count, float* __restrict out) {
  for (int i = 0; i < count; ++i) out[i] = f8_e4m3_to_float(in[i]);
}

// out[i] = s·q[i], and s·q[i] + o with one rounding at each operation.
template <int kCount>
NAUTILE_INLINE void scale_codes(const i8* __restrict q, float s, float* __restrict out) {
  for (int i = 0; i < kCount; ++i) out[i] = s * static_cast<float>(q[i]);
}
template <int kCount>
NAUTILE_INLINE void scale_codes(const i8* __restrict q, float s, float o, float* __restrict out) {
  for (int i = 0; i < kCount; ++i) out[i] = s * static_cast<float>(q[i]) + o;
}

// kBytes low nibbles less kBias to q[0..kBytes), high ones to q[kBytes..2·kBytes).
template <int kBytes, int kBias>
NAUTILE_INLINE void split_nibbles(const u8* __restrict in, i8* __restrict q) {
  for (int i = 0; i < kBytes; ++i) q[i] = static_cast<i8>((in[i] & 15) - kBias);
  for (int i = 0; i < kBytes; ++i) q[i + kBytes] = static_cast<i8>((in[i] >> 4) - kBias);
}

// The same for 16 bytes whose nibbles are places in kIq4Values.
NAUTILE_INLINE void split_iq4(const u8* __restrict in, i8* __restrict q) {
  for (int i = 0; i < 16; ++i) q[i] = kIq4Values[in[i] & 15];
  for (int i = 0; i < 16; ++i) q[i + 16] = kIq4Values[in[i] >> 4];
}

// q[i] += 16 where bit i of the 32 bits at `bits` is set.
NAUTILE_INLINE void add_fifth_bits(const u8* __restrict bits, i8* __restrict q) {
  for (int byte = 0; byte < 4; ++byte) {
    // Copy the byte to all eight places, keep bit i in place i, and turn "any bit" into 16.
    const std::uint64_t spread = (bits[byte] * 0x0101010101010101u) & 0x8040201008040201u;
    const std::uint64_t sixteens = ((spread + 0x7f7f7f7f7f7f7f7fu) & 0x8080808080808080u) >> 3;
    std::uint64_t codes;
    std::memcpy(&codes, q + 8 * byte, 8);
    codes += sixteens;  // codes below 16: no carry from byte to byte
    std::memcpy(q + 8 * byte, &codes, 8);
  }
}

// 32 codes of Q2_K: bits kShift and kShift + 1 of each byte.
template <int kShift>
NAUTILE_INLINE void two_bits(const u8* __restrict in, i8* __restrict q) {
  for (int i = 0; i < 32; ++i) q[i] = static_cast<i8>((in[i] >> kShift) & 3);
}

// 32 codes of Q3_K: two bits as above, and −4 where bit kHigh of the mask is clear.
template <int kShift, int kHigh>
NAUTILE_INLINE void three_bits(const u8* __restrict in, const u8* __restrict mask,
                               i8* __restrict q) {
  for (int i = 0; i < 32; ++i) {
    q[i] = static_cast<i8>(((in[i] >> kShift) & 3) + ((mask[i] >> kHigh) & 1) * 4 - 4);
  }
}

// 64 codes of Q5_K: nibbles of 32 bytes with their fifth bits, kBit for the low and kBit + 1 for
// the high.
template <int kBit>
NAUTILE_INLINE void five_bits(const u8* __restrict in, const u8* __restrict high,
                              i8* __restrict q) {
  for (int i = 0; i < 32; ++i) {
    q[i] = static_cast<i8>((in[i] & 15) | (((high[i] >> kBit) & 1) << 4));
  }
  for (int i = 0; i < 32; ++i) {
    q[i + 32] = static_cast<i8>((in[i] >> 4) | (((high[i] >> (kBit + 1)) & 1) << 4));
  }
}

// 128 codes of Q6_K from 64 bytes of nibbles and 32 of pairs, less 32.
NAUTILE_INLINE void six_bits(const u8* __restrict low, const u8* __restrict high,
                             i8* __restrict q) {
  for (int i = 0; i < 32; ++i) {
    q[i] = static_cast<i8>(((low[i] & 15) | ((high[i] & 3) << 4)) - 32);
  }
  for (int i = 0; i < 32; ++i) {
    q[i + 32] = static_cast<i8>(((low[i + 32] & 15) | (((high[i] >> 2) & 3) << 4)) - 32);
  }
  for (int i = 0; i < 32; ++i) {
    q[i + 64] = static_cast<i8>(((low[i] >> 4) | (((high[i] >> 4) & 3) << 4)) - 32);
  }
  for (int i = 0; i < 32; ++i) {
    q[i + 96] = static_cast<i8>(((low[i + 32] >> 4) | ((high[i] >> 6) << 4)) - 32);
  }
}

// out[i] = d·codes[i], exact: 11 bits times at most 8.
template <int kCount>
NAUTILE_INLINE void scale_scales(const i8* __restrict codes, float d, float* __restrict out) {
  for (int i = 0; i < kCount; ++i) out[i] = d * static_cast<float>(codes[i]);
}

// kGroups numbers to a column of a panel's scales.
template <int kGroups>
NAUTILE_INLINE void store_scales(const float* __restrict in, float* __restrict out) {
  for (int i = 0; i < kGroups; ++i) out[i * kPanelRows] = in[i];
}
