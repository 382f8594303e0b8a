// pack.inl — inputs of the compute classes from F32 rows, written once over Vec.

static void pack_bf16(const float* x, int count, bf16* out) noexcept {
  constexpr int w = Vec::kWidth;
  int i = 0;
  for (; i + w <= count; i += w) store_operand(out + i, load(x + i));
  if (i < count) store_bf16_n(out + i, load_n(x + i, count - i), count - i);
  if (count & 1) out[count] = bf16{0};
}

static void turn_to_bf16(const float* x, std::size_t stride, int rows, int columns, bf16* y,
                         std::size_t y_stride) noexcept {
  constexpr int w = Vec::kWidth;
  for (int r = 0; r < rows; r += 2 * w) {
    const int pairs = clamp_lanes((rows - r + 1) / 2);
    for (int c = 0; c < columns; c += w) {
      const int n = clamp_lanes(columns - c);
      decltype(IntVec::v) turned[w];
      turn_pairs(x, stride, r, rows, c, n, turned);
      for (int i = 0; i < n; ++i)
        store_lanes_n(y + static_cast<std::size_t>(c + i) * y_stride + r, {turned[i]}, pairs);
    }
  }
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

static float f8_scale(float amax, float least, F8Scale style) {
  const float scale = (amax > least ? amax : least) / 448.0f;
  if (style == F8Scale::any) return scale;
  std::uint32_t bits;
  __builtin_memcpy(&bits, &scale, 4);
  bits = (bits + 0x7fffffu) & 0x7f800000u;  // up to the next power of two
  float power;
  __builtin_memcpy(&power, &bits, 4);
  return power;
}

// To the nearest E4M3 value, ties to even: adding 1.5·2^20 times the number's power of two leaves
// three bits of fraction; below 2^-6 E4M3 has steps of 2^-9.
static inline Vec round_f8(Vec x) {
  const Vec a = min(splat(448.0f), abs(x));  // a NaN stays one
  const Vec shift = max(power_of_two_below(a), splat(0x1p-6f)) * splat(0x1.8p20f);
  return with_sign((a + shift) - shift, x);
}

static void pack_f8(const float* x, int count, F8Scale style, float least, bf16* q,
                    float* scale) noexcept {
  constexpr int w = Vec::kWidth;
  for (int start = 0; start < count; start += 128) {
    const int end = start + 128 < count ? start + 128 : count;
    Vec top = splat(0);
    int c = start;
    for (; c + w <= end; c += w) top = max(abs(load(x + c)), top);
    if (c < end) top = max(abs(load_n(x + c, end - c)), top);
    const float s = f8_scale(reduce_max(top), least, style);
    scale[start / 128] = s;
    const Vec by = splat(s);
    for (c = start; c + w <= end; c += w) store_operand(q + c, round_f8(load(x + c) / by));
    if (c < end) store_bf16_n(q + c, round_f8(load_n(x + c, end - c) / by), end - c);
  }
  if (count & 1) q[count] = bf16{0};
}
