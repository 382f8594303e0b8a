// format_ops_common.inl — what the format ops of all instruction sets share.

#define NAUTILE_INLINE static inline __attribute__((always_inline))

using u8 = std::uint8_t;
using i8 = std::int8_t;

// What the nibbles of IQ4_NL and IQ4_XS stand for.
alignas(16) constexpr i8 kIq4Values[16] = {-127, -104, -83, -65, -49, -35, -22, -10,
                                           1,    13,   25,  38,  53,  69,  89,  113};

template <class T>
NAUTILE_INLINE T value_at(const u8* p) {
  T value;
  std::memcpy(&value, p, sizeof(T));
  return value;
}

NAUTILE_INLINE float bf16_at(const u8* p) {
  return to_float(value_at<bf16>(p));
}
