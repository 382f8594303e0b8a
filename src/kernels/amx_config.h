// amx_config.h — TileConfig: the shapes of the eight tiles, as LDTILECFG reads them.
// Included inside an anonymous namespace.

// Three roles: sums C = 2·q + p for half q of the input rows and panel p, inputs A = 4 + q, panels
// B = 6 + p, with q and p 0 or 1. C += A × B.
struct alignas(64) TileConfig {
  std::uint8_t palette = 1;
  std::uint8_t start_row = 0;
  std::uint8_t reserved[14] = {};
  std::uint16_t row_bytes[16] = {};
  std::uint8_t rows[16] = {};
};
static_assert(sizeof(TileConfig) == 64);

// Tiles for `rows` input rows of at most 32: A has as many rows as its half of them, of 32 BF16, B
// sixteen rows of 16 pairs, C rows of 16 sums.
static constexpr TileConfig tile_config(int rows) {
  TileConfig config;
  const auto shape = [&config](int tile, int count) {
    config.rows[tile] = static_cast<std::uint8_t>(count);
    config.row_bytes[tile] = count > 0 ? 64 : 0;
  };
  for (int q = 0; q < 2; ++q) {
    const int left = rows - 16 * q, half = left < 0 ? 0 : left < 16 ? left : 16;
    shape(2 * q, half);
    shape(2 * q + 1, half);
    shape(4 + q, half);
    shape(6 + q, 16);
  }
  return config;
}
