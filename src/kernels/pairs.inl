// pairs.inl — weights and inputs whose sums run over rows: BF16 pairs come from two rows, not from
// two columns. Written once over Vec; included after bf16_*.h.

// Lanes of a register that exist when `left` are left.
static inline int clamp_lanes(int left) {
  return left < 0 ? 0 : left < Vec::kWidth ? left : Vec::kWidth;
}
static inline Vec load_some(const float* p, int n) {
  return n == Vec::kWidth ? load(p) : load_n(p, n);
}
static inline Vec load_some(const bf16* p, int n) {
  return n == Vec::kWidth ? load_bf16(p) : load_bf16_n(p, n);
}
static inline IntVec pair_of(Vec even, Vec odd, const float*) {
  return operand_pairs(even, odd);
}
static inline IntVec pair_of(Vec even, Vec odd, const bf16*) {
  return join_pairs(even, odd);
}

// Lane i: rows k and k + 1 of column c + i, for n columns; rows from `rows` on are zeros.
template <class T>
static inline IntVec row_pair(const T* x, std::size_t stride, int k, int rows, int c, int n) {
  const T* even = x + static_cast<std::size_t>(k) * stride + c;
  if (k >= rows) return pair_of(splat(0), splat(0), x);
  return pair_of(load_some(even, n), k + 1 < rows ? load_some(even + stride, n) : splat(0), x);
}

// The lanes of one register: rows k, k + 2, … of n columns become columns.
template <class T>
static inline void turn_pairs(const T* x, std::size_t stride, int k, int rows, int c, int n,
                              decltype(IntVec::v) turned[Vec::kWidth]) {
  for (int i = 0; i < Vec::kWidth; ++i) turned[i] = row_pair(x, stride, k + 2 * i, rows, c, n).v;
  transpose(turned);
}
