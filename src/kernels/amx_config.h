// amx_config.h — TileConfig: the shapes of the eight tiles, as LDTILECFG reads them.
// Included inside an anonymous namespace.

// Three roles: sums C = 2·p + q for panel p and half q of the input rows, weights A = 4 + p, inputs
// B = 6 + q, with p and q 0 or 1. C += A × B.
struct alignas(64) TileConfig {
  std::uint8_t palette = 1;
  std::uint8_t start_row = 0;
  std::uint8_t reserved[14] = {};
  std::uint16_t row_bytes[16] = {};
  std::uint8_t rows[16] = {};
};
static_assert(sizeof(TileConfig) == 64);

// Tiles for products over `depth` bytes of a weight row: A has 16 rows of `depth` bytes, B depth/4
// rows of 16 lanes, C 16 rows (weights) of 16 lanes (inputs). A lane is four bytes.
static constexpr TileConfig tile_config(int depth) {
  TileConfig config;
  for (int t = 0; t < 8; ++t) {
    config.rows[t] = static_cast<std::uint8_t>(t < 6 ? 16 : depth / 4);
    config.row_bytes[t] = static_cast<std::uint16_t>(t == 4 || t == 5 ? depth : 64);
  }
  return config;
}
