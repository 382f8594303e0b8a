// formats_k.inl — decoders of the 256-weight super-blocks (ggml-common.h); see formats_simple.inl.
//
// Small scale codes are handled eight at a time as the bytes of a 64-bit word.

constexpr std::uint64_t kEach = 0x0101010101010101u;  // times a byte: that byte eight times

// The 6-bit scales and mins of Q4_K and Q5_K, eight each, from 12 bytes.
NAUTILE_INLINE void scales_and_mins(const u8* b, float* scale, float* offset) {
  const std::uint32_t a0 = value_at<std::uint32_t>(b + 4);
  const std::uint32_t a1 = value_at<std::uint32_t>(b + 8);
  const std::uint32_t a2 = value_at<std::uint32_t>(b + 12);
  const std::uint32_t scales_high = (a2 & 0x0f0f0f0fu) | ((a0 >> 2) & 0x30303030u);
  const std::uint32_t mins_high = ((a2 >> 4) & 0x0f0f0f0fu) | ((a1 >> 2) & 0x30303030u);
  scale8((a0 & 0x3f3f3f3fu) | static_cast<std::uint64_t>(scales_high) << 32, half_at(b), scale);
  scale8((a1 & 0x3f3f3f3fu) | static_cast<std::uint64_t>(mins_high) << 32, -half_at(b + 2), offset);
}

struct Q2_K : Layout<Format::q2_k, 16, Offsets::per_group> {
  NAUTILE_INLINE void scales(const u8* b, float* scale, float* offset) {
    const float d = half_at(b + 80);
    const float dmin = -half_at(b + 82);
    for (int i = 0; i < 16; i += 8) {
      const std::uint64_t pairs = value_at<std::uint64_t>(b + i);
      scale8(pairs & (15 * kEach), d, scale + i);
      scale8((pairs >> 4) & (15 * kEach), dmin, offset + i);
    }
  }
  template <int P>
  NAUTILE_INLINE Codes codes(const u8* b) {
    return field<2 * (P % 4), 2>(load_codes(b + 16 + 32 * (P / 4)));
  }
};

struct Q3_K : Layout<Format::q3_k, 16, Offsets::none> {
  // Sixteen 6-bit scales: nibbles in eight bytes, and their upper pairs of bits in four more.
  NAUTILE_INLINE void scales(const u8* b, float* scale, float*) {
    const float d = half_at(b + 108);
    const std::uint64_t low = value_at<std::uint64_t>(b + 96);
    const std::uint64_t high = value_at<std::uint32_t>(b + 104);
    const std::uint64_t pairs = (high << 4 & 0x30303030u) | (high << 34 & 0x3030303000000000u);
    const std::uint64_t upper = (high & 0x30303030u) | (high << 30 & 0x3030303000000000u);
    scale8<32>((low & (15 * kEach)) | pairs, d, scale);
    scale8<32>(((low >> 4) & (15 * kEach)) | upper, d, scale + 8);
  }
  template <int P>
  NAUTILE_INLINE Codes codes(const u8* b) {
    const Codes low = field<2 * (P % 4), 2>(load_codes(b + 32 + 32 * (P / 4)));
    return less<4>(either(low, field<P, 1, 2>(load_codes(b))));
  }
};

struct Q4_K : Layout<Format::q4_k, 32, Offsets::per_group> {
  NAUTILE_INLINE void scales(const u8* b, float* scale, float* offset) {
    scales_and_mins(b, scale, offset);
  }
  template <int P>
  NAUTILE_INLINE Codes codes(const u8* b) {
    return field<4 * (P % 2), 4>(load_codes(b + 16 + 32 * (P / 2)));
  }
};

struct Q5_K : Layout<Format::q5_k, 32, Offsets::per_group> {
  NAUTILE_INLINE void scales(const u8* b, float* scale, float* offset) {
    scales_and_mins(b, scale, offset);
  }
  template <int P>
  NAUTILE_INLINE Codes codes(const u8* b) {
    const Codes low = field<4 * (P % 2), 4>(load_codes(b + 48 + 32 * (P / 2)));
    return either(low, field<P, 1, 4>(load_codes(b + 16)));
  }
};

struct Q6_K : Layout<Format::q6_k, 16, Offsets::none> {
  NAUTILE_INLINE void scales(const u8* b, float* scale, float*) {
    const float d = half_at(b + 208);
    scale8(value_at<std::uint64_t>(b + 192), d, scale);
    scale8(value_at<std::uint64_t>(b + 200), d, scale + 8);
  }
  template <int P>
  NAUTILE_INLINE Codes codes(const u8* b) {
    constexpr int kHalf = P / 4, kQuarter = P % 4;
    const Codes low = load_codes(b + 64 * kHalf + 32 * (kQuarter % 2));
    const Codes high = load_codes(b + 128 + 32 * kHalf);
    return less<32>(either(field<4 * (kQuarter / 2), 4>(low), field<2 * kQuarter, 2, 4>(high)));
  }
};

struct IQ4_XS : Layout<Format::iq4_xs, 32, Offsets::none> {
  // Eight 6-bit scales: nibbles in four bytes, pairs of bits in the two before; spread to bytes.
  NAUTILE_INLINE void scales(const u8* b, float* scale, float*) {
    std::uint64_t low = value_at<std::uint32_t>(b + 4);
    low = (low | low << 16) & 0x0000ffff0000ffffu;
    low = (low | low << 8) & 0x00ff00ff00ff00ffu;
    low = (low | low << 4) & 0x0f0f0f0f0f0f0f0fu;
    std::uint64_t high = value_at<std::uint16_t>(b + 2);
    high = (high | high << 24) & 0x000000ff000000ffu;
    high = (high | high << 12) & 0x000f000f000f000fu;
    high = (high | high << 6) & 0x0303030303030303u;
    scale8<32>(low | high << 4, half_at(b), scale);
  }
  template <int P>
  NAUTILE_INLINE Codes codes(const u8* b) {
    return iq4_values(split_nibbles(b + 8 + 16 * P));
  }
};
