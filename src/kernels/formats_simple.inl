// formats_simple.inl — decoders of the 32-weight blocks (layouts: ggml-common.h).
//
// A decoder gives the scale and, if affine, the offset of each group of a block, and the codes of
// its 32-column part P: value = scale·code + offset. Products of a half float and integer codes are
// exact in F32, so the integer form and the F32 form agree to the bit; both round once, adding the
// offset.

template <Format kWhich, int kGroupSize, Offsets kOffsetsHere>
struct Layout {
  static constexpr Format kFormat = kWhich;
  static constexpr int kGroup = kGroupSize;
  static constexpr Offsets kOffsets = kOffsetsHere;
};

struct Q8_0 : Layout<Format::q8_0, 32, Offsets::none> {
  NAUTILE_INLINE void scales(const u8* b, float* scale, float*) { scale[0] = half_at(b); }
  template <int P>
  NAUTILE_INLINE Codes codes(const u8* b) {
    return load_codes(b + 2);
  }
};

struct Q4_0 : Layout<Format::q4_0, 32, Offsets::none> {
  NAUTILE_INLINE void scales(const u8* b, float* scale, float*) { scale[0] = half_at(b); }
  template <int P>
  NAUTILE_INLINE Codes codes(const u8* b) {
    return less<8>(split_nibbles(b + 2));
  }
};

struct Q4_1 : Layout<Format::q4_1, 32, Offsets::per_group> {
  NAUTILE_INLINE void scales(const u8* b, float* scale, float* offset) {
    scale[0] = half_at(b);
    offset[0] = half_at(b + 2);
  }
  template <int P>
  NAUTILE_INLINE Codes codes(const u8* b) {
    return split_nibbles(b + 4);
  }
};

struct Q5_0 : Layout<Format::q5_0, 32, Offsets::none> {
  NAUTILE_INLINE void scales(const u8* b, float* scale, float*) { scale[0] = half_at(b); }
  template <int P>
  NAUTILE_INLINE Codes codes(const u8* b) {
    return less<16>(either(split_nibbles(b + 6), fifth_bits(b + 2)));
  }
};

struct Q5_1 : Layout<Format::q5_1, 32, Offsets::per_group> {
  NAUTILE_INLINE void scales(const u8* b, float* scale, float* offset) {
    scale[0] = half_at(b);
    offset[0] = half_at(b + 2);
  }
  template <int P>
  NAUTILE_INLINE Codes codes(const u8* b) {
    return either(split_nibbles(b + 8), fifth_bits(b + 4));
  }
};

struct IQ4_NL : Layout<Format::iq4_nl, 32, Offsets::none> {
  NAUTILE_INLINE void scales(const u8* b, float* scale, float*) { scale[0] = half_at(b); }
  template <int P>
  NAUTILE_INLINE Codes codes(const u8* b) {
    return iq4_values(split_nibbles(b + 2));
  }
};
