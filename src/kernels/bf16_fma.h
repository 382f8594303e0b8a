// bf16_fma.h — products of pairs of BF16 where no instruction offers them: two multiply-adds, the
// even column's first. Included after a table's tile.

static constexpr int kRowsBf16 = 5;  // widened weights and inputs take registers, too

static inline Vec dot_bf16(Vec acc, IntVec w, IntVec x) {
  return fma(high_bf16(x), high_bf16(w), fma(low_bf16(x), low_bf16(w), acc));
}

// What a product takes its inputs and weights for: their roundings, here.
static inline void store_operand(bf16* p, Vec x) {
  store_bf16(p, x);
}
static inline IntVec operand_pairs(Vec even, Vec odd) {
  return round_to_pairs(even, odd);
}
