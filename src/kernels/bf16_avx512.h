// bf16_avx512.h — products of pairs of BF16 by VDPBF16PS. Included after tile_avx512.h.

static constexpr int kRowsBf16 = kRowsF;

static inline Vec dot_bf16(Vec acc, IntVec w, IntVec x) {
  // clang 16 recurses without end when it looks through the cast of a broadcast to BF16; this hides
  // the broadcast, and costs no instruction.
  __asm__("" : "+v"(x.v));
  return {_mm512_dpbf16_ps(acc.v, (__m512bh)x.v, (__m512bh)w.v)};
}

// VDPBF16PS and the tiles take subnormal numbers for zeros. So what they multiply may be rounded by
// the instructions that make zeros of them; everything else is rounded as by round_high.
static inline void store_operand(bf16* p, Vec x) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), (__m256i)_mm512_cvtneps_pbh(x.v));
}
static inline IntVec operand_pairs(Vec even, Vec odd) {
  const __m512i halves = (__m512i)_mm512_cvtne2ps_pbh(odd.v, even.v);  // even ones low
  const __m512i pairs = _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24,
                                         8, 23, 7, 22, 6, 21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
  return {_mm512_permutexvar_epi16(pairs, halves)};
}
