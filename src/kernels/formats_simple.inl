// formats_simple.inl — decoders of the plain formats and of the 32-weight blocks (ggml-common.h).
//
// A decoder reads one block and writes its codes, a scale and, if affine, an offset per group:
// value = scale·q + offset. Products of a half float and an integer code are exact in F32, so the
// integer form and the F32 form are equal to the bit; both round once, when the offset is added.

struct Q8_0 {
  static constexpr Format kFormat = Format::q8_0;
  static constexpr int kGroup = 32;
  static constexpr Offsets kOffsets = Offsets::none;
  NAUTILE_INLINE void decode(const u8* block, i8* q, float* scale, float*) {
    scale[0] = half_at(block);
    std::memcpy(q, block + 2, 32);
  }
};

struct Q4_0 {
  static constexpr Format kFormat = Format::q4_0;
  static constexpr int kGroup = 32;
  static constexpr Offsets kOffsets = Offsets::none;
  NAUTILE_INLINE void decode(const u8* block, i8* q, float* scale, float*) {
    scale[0] = half_at(block);
    split_nibbles<16, 8>(block + 2, q);
  }
};

struct Q4_1 {
  static constexpr Format kFormat = Format::q4_1;
  static constexpr int kGroup = 32;
  static constexpr Offsets kOffsets = Offsets::per_group;
  NAUTILE_INLINE void decode(const u8* block, i8* q, float* scale, float* offset) {
    scale[0] = half_at(block);
    offset[0] = half_at(block + 2);
    split_nibbles<16, 0>(block + 4, q);
  }
};

struct Q5_0 {
  static constexpr Format kFormat = Format::q5_0;
  static constexpr int kGroup = 32;
  static constexpr Offsets kOffsets = Offsets::none;
  NAUTILE_INLINE void decode(const u8* block, i8* q, float* scale, float*) {
    scale[0] = half_at(block);
    split_nibbles<16, 0>(block + 6, q);
    add_fifth_bits(block + 2, q);
    for (int i = 0; i < 32; ++i) q[i] = static_cast<i8>(q[i] - 16);
  }
};

struct Q5_1 {
  static constexpr Format kFormat = Format::q5_1;
  static constexpr int kGroup = 32;
  static constexpr Offsets kOffsets = Offsets::per_group;
  NAUTILE_INLINE void decode(const u8* block, i8* q, float* scale, float* offset) {
    scale[0] = half_at(block);
    offset[0] = half_at(block + 2);
    split_nibbles<16, 0>(block + 8, q);
    add_fifth_bits(block + 4, q);
  }
};

struct IQ4_NL {
  static constexpr Format kFormat = Format::iq4_nl;
  static constexpr int kGroup = 32;
  static constexpr Offsets kOffsets = Offsets::none;
  NAUTILE_INLINE void decode(const u8* block, i8* q, float* scale, float*) {
    scale[0] = half_at(block);
    split_iq4(block + 2, q);
  }
};

void unpack_f32(const std::byte* blocks, int count, float* out) noexcept {
  std::memcpy(out, blocks, static_cast<std::size_t>(count) * 4);
}
void unpack_f16(const std::byte* blocks, int count, float* out) noexcept {
  widen_f16(reinterpret_cast<const u8*>(blocks), count, out);
}
void unpack_bf16(const std::byte* blocks, int count, float* out) noexcept {
  widen_bf16(reinterpret_cast<const u8*>(blocks), count, out);
}
void unpack_f8(const std::byte* blocks, int count, float* out) noexcept {
  widen_f8(reinterpret_cast<const u8*>(blocks), count, out);
}
