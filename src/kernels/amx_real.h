// amx_real.h — Tiles: the tile registers of this thread, by intrinsics.
// Included inside an anonymous namespace after amx_config.h.

// While a Tiles lives, the thread's tile registers are its own; they are given back at its end, so
// that context switches do not carry 8 KiB.
//
// The compiler does not see what tile instructions read: g++ 12 declares 8 of the 64 bytes of a
// configuration, and nothing of what TILELOADD loads. Without `written` the stores before them
// could be dropped. Tile numbers become text of an asm and have to be literals.
class Tiles {
 public:
  explicit Tiles(const TileConfig& config) {
    written(&config);
    _tile_loadconfig(&config);
  }
  ~Tiles() { _tile_release(); }
  Tiles(const Tiles&) = delete;
  Tiles& operator=(const Tiles&) = delete;

  // Rows of a tile are `stride` bytes apart in memory.
  template <int Q>
  static inline void load_inputs(const void* from, std::size_t stride) {
    written(from);
    if constexpr (Q == 0) _tile_loadd(4, from, stride);
    if constexpr (Q == 1) _tile_loadd(5, from, stride);
  }
  template <int P>
  static inline void load_panels(const void* from, std::size_t stride) {
    written(from);
    if constexpr (P == 0) _tile_loadd(6, from, stride);
    if constexpr (P == 1) _tile_loadd(7, from, stride);
  }
  template <int Q, int P>
  static inline void load_sums(const void* from, std::size_t stride) {
    written(from);
    if constexpr (Q == 0 && P == 0) _tile_loadd(0, from, stride);
    if constexpr (Q == 0 && P == 1) _tile_loadd(1, from, stride);
    if constexpr (Q == 1 && P == 0) _tile_loadd(2, from, stride);
    if constexpr (Q == 1 && P == 1) _tile_loadd(3, from, stride);
  }
  template <int Q, int P>
  static inline void store_sums(void* to, std::size_t stride) {
    if constexpr (Q == 0 && P == 0) _tile_stored(0, to, stride);
    if constexpr (Q == 0 && P == 1) _tile_stored(1, to, stride);
    if constexpr (Q == 1 && P == 0) _tile_stored(2, to, stride);
    if constexpr (Q == 1 && P == 1) _tile_stored(3, to, stride);
  }
  template <int Q, int P>
  static inline void clear_sums() {
    if constexpr (Q == 0 && P == 0) _tile_zero(0);
    if constexpr (Q == 0 && P == 1) _tile_zero(1);
    if constexpr (Q == 1 && P == 0) _tile_zero(2);
    if constexpr (Q == 1 && P == 1) _tile_zero(3);
  }
  // sums[Q][P] += inputs[Q] × panels[P] over pairs of BF16.
  template <int Q, int P>
  static inline void dot_bf16() {
    if constexpr (Q == 0 && P == 0) _tile_dpbf16ps(0, 4, 6);
    if constexpr (Q == 0 && P == 1) _tile_dpbf16ps(1, 4, 7);
    if constexpr (Q == 1 && P == 0) _tile_dpbf16ps(2, 5, 6);
    if constexpr (Q == 1 && P == 1) _tile_dpbf16ps(3, 5, 7);
  }

 private:
  static inline void written(const void* p) { __asm__ volatile("" : : "r"(p) : "memory"); }
};
