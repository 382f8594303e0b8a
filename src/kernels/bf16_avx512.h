// bf16_avx512.h — products of pairs of BF16 by VDPBF16PS. Included after tile_avx512.h.

static constexpr int kRowsBf16 = kRowsF;

static inline Vec dot_bf16(Vec acc, IntVec w, IntVec x) {
  // clang 16 recurses without end when it looks through the cast of a broadcast to BF16; this hides
  // the broadcast, and costs no instruction.
  __asm__("" : "+v"(x.v));
  return {_mm512_dpbf16_ps(acc.v, (__m512bh)x.v, (__m512bh)w.v)};
}
