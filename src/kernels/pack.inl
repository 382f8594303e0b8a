// pack.inl — inputs of the compute classes from F32 rows, written once over Vec.

static void pack_bf16(const float* x, int count, bf16* out) noexcept {
  row_to_bf16(x, count, out);
  if (count & 1) out[count] = bf16{0};
}

static void pack_i8(const float* x, int count, std::byte* q, float* scale,
                    std::int32_t* sums) noexcept {
  constexpr int w = Vec::kWidth;
  for (int g = 0; g < count / 32; ++g) {
    const float* block = x + 32 * g;
    Vec top = splat(0);
    for (int c = 0; c < 32; c += w) top = max(top, abs(load(block + c)));
    const float amax = reduce_max(top);
    const Vec inverse = splat(amax > 0 ? kI8InputMax / amax : 0.0f);
    scale[g] = amax / kI8InputMax;
    for (int half = 0; half < 2; ++half) {
      Vec total = splat(0);
      for (int c = 16 * half; c < 16 * half + 16; c += w) {
        const Vec whole = round(load(block + c) * inverse);
        store_input(q + 32 * g * kI8InputBytes, c, whole);
        total = total + whole;
      }
      sums[2 * g + half] = reduce_add_whole(total);
    }
  }
}

static float f8_scale(float amax, F8Scale style) {
  const float scale = (amax > 1e-4f ? amax : 1e-4f) / 448.0f;
  if (style == F8Scale::any) return scale;
  std::uint32_t bits;
  __builtin_memcpy(&bits, &scale, 4);
  bits = (bits + 0x7fffffu) & 0x7f800000u;  // up to the next power of two
  float power;
  __builtin_memcpy(&power, &bits, 4);
  return power;
}

static void pack_f8(const float* x, int count, F8Scale style, bf16* q, float* scale) noexcept {
  for (int start = 0; start < count; start += 128) {
    const int end = start + 128 < count ? start + 128 : count;
    float amax = 0;
    for (int c = start; c < end; ++c) amax = __builtin_fmaxf(amax, __builtin_fabsf(x[c]));
    const float s = f8_scale(amax, style);
    scale[start / 128] = s;
    for (int c = start; c < end; ++c) {
      q[c] = to_bf16(f8_e4m3_to_float(float_to_f8_e4m3(x[c] / s)));  // E4M3 is exact in BF16
    }
  }
  if (count & 1) q[count] = bf16{0};
}
