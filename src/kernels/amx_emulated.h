// amx_emulated.h — Tiles in plain C++, after the pseudo-code of Intel's Software Developer's
// Manual, for tests on CPUs without AMX. Included inside an anonymous namespace after amx_config.h.

// The interface of amx_real.h. What the CPU answers with an exception is a trap here, too.
class Tiles {
 public:
  explicit Tiles(const TileConfig& config) : config_(config) {
    require(config.palette == 1 && config.start_row == 0);
    for (std::uint8_t reserved : config.reserved) require(reserved == 0);
    for (int t = 0; t < 16; ++t) {
      const int rows = config.rows[t], bytes = config.row_bytes[t];
      require(t < 8 ? rows <= 16 && bytes <= 64 : rows == 0 && bytes == 0);
      require((rows == 0) == (bytes == 0));
    }
    __builtin_memset(tile_, 0, sizeof tile_);
  }
  Tiles(const Tiles&) = delete;
  Tiles& operator=(const Tiles&) = delete;

  template <int Q>
  void load_inputs(const void* from, std::size_t stride) {
    load(4 + Q, from, stride);
  }
  template <int P>
  void load_panels(const void* from, std::size_t stride) {
    load(6 + P, from, stride);
  }
  template <int Q, int P>
  void load_sums(const void* from, std::size_t stride) {
    load(2 * Q + P, from, stride);
  }
  template <int Q, int P>
  void store_sums(void* to, std::size_t stride) const {
    constexpr int kTile = 2 * Q + P;
    for (std::size_t r = 0; r < config_.rows[kTile]; ++r) {
      __builtin_memcpy(static_cast<std::byte*>(to) + r * stride, tile_[kTile][r],
                       config_.row_bytes[kTile]);
    }
  }
  template <int Q, int P>
  void clear_sums() {
    __builtin_memset(tile_[2 * Q + P], 0, sizeof tile_[0]);
  }
  template <int Q, int P>
  void dot_bf16() {
    add_bf16(2 * Q + P, 4 + Q, 6 + P);
  }

 private:
  static void require(bool promise) {
    if (!promise) __builtin_trap();
  }

  template <class T>
  T get(int tile, int row, int at) const {
    T value;
    __builtin_memcpy(&value, tile_[tile][row] + static_cast<std::size_t>(at) * sizeof(T),
                     sizeof(T));
    return value;
  }
  template <class T>
  void put(int tile, int row, int at, T value) {
    __builtin_memcpy(tile_[tile][row] + static_cast<std::size_t>(at) * sizeof(T), &value,
                     sizeof(T));
  }

  // TILELOADD: what lies outside the tile's shape becomes zero.
  void load(int tile, const void* from, std::size_t stride) {
    require(config_.rows[tile] > 0);
    __builtin_memset(tile_[tile], 0, sizeof tile_[tile]);
    for (std::size_t r = 0; r < config_.rows[tile]; ++r) {
      __builtin_memcpy(tile_[tile][r], static_cast<const std::byte*>(from) + r * stride,
                       config_.row_bytes[tile]);
    }
  }

  void require_shapes(int c, int a, int b) const {
    require(config_.rows[c] == config_.rows[a] && config_.row_bytes[c] == config_.row_bytes[b]);
    require(config_.row_bytes[a] == config_.rows[b] * 4 && config_.row_bytes[a] % 4 == 0 &&
            config_.row_bytes[c] % 4 == 0);
  }

  // DAZ and FTZ: subnormal numbers are zeros of their sign.
  static float flushed(float x) {
    return __builtin_fabsf(x) < 0x1p-126f ? __builtin_copysignf(0.0f, x) : x;
  }
  float bf16_at(int tile, int row, int at) const {
    return flushed(to_float(get<bf16>(tile, row, at)));
  }

  // TDPBF16PS: one chain of fused multiply-adds over the even elements, one over the odd, both from
  // zero; their sum is added to C. Everything rounds to nearest even.
  void add_bf16(int c, int a, int b) {
    require_shapes(c, a, b);
    for (int m = 0; m < config_.rows[c]; ++m) {
      float chain[32] = {};
      for (int k = 0; k < config_.row_bytes[a] / 4; ++k) {
        const float input[2] = {bf16_at(a, m, 2 * k), bf16_at(a, m, 2 * k + 1)};
        for (int n = 0; n < config_.row_bytes[c] / 2; ++n) {
          chain[n] = flushed(__builtin_fmaf(input[n % 2], bf16_at(b, k, n), chain[n]));
        }
      }
      for (int n = 0; n < config_.row_bytes[c] / 4; ++n) {
        const float both = flushed(chain[2 * n] + chain[2 * n + 1]);
        put(c, m, n, flushed(flushed(get<float>(c, m, n)) + both));
      }
    }
  }

  TileConfig config_;
  std::byte tile_[8][16][64];
};
