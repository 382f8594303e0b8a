// formats_k.inl — decoders of the 256-weight super-blocks (ggml-common.h); see formats_simple.inl.

// The 6-bit scales and mins of Q4_K and Q5_K, eight each, from 12 bytes.
NAUTILE_INLINE void decode_scales_mins(const u8* packed, i8* scales, i8* mins) {
  std::uint32_t a[3];
  std::memcpy(a, packed, 12);
  const std::uint32_t out[4] = {
      a[0] & 0x3f3f3f3fu,
      (a[2] & 0x0f0f0f0fu) | ((a[0] >> 2) & 0x30303030u),
      a[1] & 0x3f3f3f3fu,
      ((a[2] >> 4) & 0x0f0f0f0fu) | ((a[1] >> 2) & 0x30303030u),
  };
  std::memcpy(scales, out, 8);
  std::memcpy(mins, out + 2, 8);
}

// The 16 six-bit scales of Q3_K from 12 bytes, less 32.
NAUTILE_INLINE void decode_scales_q3(const u8* packed, i8* scales) {
  std::uint32_t a[3];
  std::memcpy(a, packed, 12);
  const std::uint32_t out[4] = {
      (a[0] & 0x0f0f0f0fu) | ((a[2] << 4) & 0x30303030u),
      (a[1] & 0x0f0f0f0fu) | ((a[2] << 2) & 0x30303030u),
      ((a[0] >> 4) & 0x0f0f0f0fu) | (a[2] & 0x30303030u),
      ((a[1] >> 4) & 0x0f0f0f0fu) | ((a[2] >> 2) & 0x30303030u),
  };
  std::memcpy(scales, out, 16);
  for (int i = 0; i < 16; ++i) scales[i] = static_cast<i8>(scales[i] - 32);
}

struct Q2_K {
  static constexpr Format kFormat = Format::q2_k;
  static constexpr int kGroup = 16;
  static constexpr Offsets kOffsets = Offsets::per_group;
  NAUTILE_INLINE void decode(const u8* block, i8* q, float* scale, float* offset) {
    i8 codes[32];  // scales, then mins
    split_nibbles<16, 0>(block, codes);
    scale_scales<16>(codes, half_at(block + 80), scale);
    scale_scales<16>(codes + 16, -half_at(block + 82), offset);
    const u8* bits = block + 16;
    for (int half = 0; half < 2; ++half, bits += 32, q += 128) {
      two_bits<0>(bits, q);
      two_bits<2>(bits, q + 32);
      two_bits<4>(bits, q + 64);
      two_bits<6>(bits, q + 96);
    }
  }
};

struct Q3_K {
  static constexpr Format kFormat = Format::q3_k;
  static constexpr int kGroup = 16;
  static constexpr Offsets kOffsets = Offsets::none;
  NAUTILE_INLINE void decode(const u8* block, i8* q, float* scale, float*) {
    i8 codes[16];
    decode_scales_q3(block + 96, codes);
    scale_scales<16>(codes, half_at(block + 108), scale);
    const u8* mask = block;
    const u8* bits = block + 32;
    three_bits<0, 0>(bits, mask, q);
    three_bits<2, 1>(bits, mask, q + 32);
    three_bits<4, 2>(bits, mask, q + 64);
    three_bits<6, 3>(bits, mask, q + 96);
    three_bits<0, 4>(bits + 32, mask, q + 128);
    three_bits<2, 5>(bits + 32, mask, q + 160);
    three_bits<4, 6>(bits + 32, mask, q + 192);
    three_bits<6, 7>(bits + 32, mask, q + 224);
  }
};

struct Q4_K {
  static constexpr Format kFormat = Format::q4_k;
  static constexpr int kGroup = 32;
  static constexpr Offsets kOffsets = Offsets::per_group;
  NAUTILE_INLINE void decode(const u8* block, i8* q, float* scale, float* offset) {
    i8 codes[16];
    decode_scales_mins(block + 4, codes, codes + 8);
    scale_scales<8>(codes, half_at(block), scale);
    scale_scales<8>(codes + 8, -half_at(block + 2), offset);
    for (int part = 0; part < 4; ++part) {
      split_nibbles<32, 0>(block + 16 + 32 * part, q + 64 * part);
    }
  }
};

struct Q5_K {
  static constexpr Format kFormat = Format::q5_k;
  static constexpr int kGroup = 32;
  static constexpr Offsets kOffsets = Offsets::per_group;
  NAUTILE_INLINE void decode(const u8* block, i8* q, float* scale, float* offset) {
    i8 codes[16];
    decode_scales_mins(block + 4, codes, codes + 8);
    scale_scales<8>(codes, half_at(block), scale);
    scale_scales<8>(codes + 8, -half_at(block + 2), offset);
    const u8* high = block + 16;
    const u8* low = block + 48;
    five_bits<0>(low, high, q);
    five_bits<2>(low + 32, high, q + 64);
    five_bits<4>(low + 64, high, q + 128);
    five_bits<6>(low + 96, high, q + 192);
  }
};

struct Q6_K {
  static constexpr Format kFormat = Format::q6_k;
  static constexpr int kGroup = 16;
  static constexpr Offsets kOffsets = Offsets::none;
  NAUTILE_INLINE void decode(const u8* block, i8* q, float* scale, float*) {
    i8 codes[16];
    std::memcpy(codes, block + 192, 16);
    scale_scales<16>(codes, half_at(block + 208), scale);
    six_bits(block, block + 128, q);
    six_bits(block + 64, block + 160, q + 128);
  }
};

struct IQ4_XS {
  static constexpr Format kFormat = Format::iq4_xs;
  static constexpr int kGroup = 32;
  static constexpr Offsets kOffsets = Offsets::none;
  NAUTILE_INLINE void decode(const u8* block, i8* q, float* scale, float*) {
    std::uint16_t high;
    std::memcpy(&high, block + 2, 2);
    i8 codes[8];
    for (int g = 0; g < 8; ++g) {
      const int low = (block[4 + g / 2] >> (4 * (g & 1))) & 15;
      codes[g] = static_cast<i8>((low | (((high >> (2 * g)) & 3) << 4)) - 32);
    }
    scale_scales<8>(codes, half_at(block), scale);
    for (int g = 0; g < 8; ++g) split_iq4(block + 8 + 16 * g, q + 32 * g);
  }
};
