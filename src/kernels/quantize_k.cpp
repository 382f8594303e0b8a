// quantize_k.cpp — quantizers of the super-blocks and of IQ4_NL, by search (quantize_fit.h).
//
// Each group's scale is fitted on its own; the super-block's half-float scale makes the largest of
// them the last code; then the codes of the scales next to the ideal ones are tried with the scale
// as it will be read, and the weights' codes are taken with the winner.
#include <cstdint>
#include <cstring>

#include "base/bf16.h"
#include "kernels/quantize.h"
#include "kernels/quantize_fit.h"

namespace nautile::kernels {
namespace {

using u8 = std::uint8_t;

constexpr int kSuper = 256;

// Writes a half float and says what it will read as.
float put_half(u8* out, float value) {
  const std::uint16_t bits = float_to_half(value);
  std::memcpy(out, &bits, 2);
  return half_to_float(bits);
}

// ---- grids ------------------------------------------------------------------------------------

// The levels of IQ4. The borders between them are multiples of ½, so that the doubled, floored
// value finds the nearest level in a table.
constexpr int kIq4Values[16] = {-127, -104, -83, -65, -49, -35, -22, -10,
                                1,    13,   25,  38,  53,  69,  89,  113};

struct Places {
  u8 of[512];
};

constexpr Places make_places() {
  Places places = {};
  for (int i = 0, code = 0; i < 512; ++i) {
    while (code < 15 && i - 256 >= kIq4Values[code] + kIq4Values[code + 1]) ++code;
    places.of[i] = static_cast<u8>(code);
  }
  return places;
}

constexpr Places kIq4Places = make_places();

struct Iq4Grid {
  static constexpr float kLow = -127;
  static int code(float v) {
    return kIq4Places.of[static_cast<int>(fit::clamp(v, -128.0f, 127.5f) * 2.0f + 256.0f)];
  }
  static float level(float v) { return static_cast<float>(kIq4Values[code(v)]); }
};

using Q3Grid = fit::WholeGrid<-4, 3>;
using Q6Grid = fit::WholeGrid<-32, 31>;

// ---- super-blocks on a grid: a signed scale code per group ------------------------------------

struct GridGroups {
  int groups;        // of 256/groups weights
  int lowest_scale;  // scale codes are lowest_scale … -lowest_scale − 1
  int reach;         // trials of fit_grid on either side
  float step;
};

// The scale code with the least error among the ideal one and its neighbours.
template <class Grid>
int best_scale_code(const float* x, int n, float d, float ideal, int lowest) {
  const float center = ideal * fit::inverse_of(d);
  const int middle = static_cast<int>(fit::nearest(
      fit::clamp(center, static_cast<float>(lowest), static_cast<float>(-lowest - 1))));
  int best = middle;
  float best_error = fit::grid_error<Grid>(x, n, d * static_cast<float>(middle));
  for (int code = middle - 1; code <= middle + 1; code += 2) {
    if (code < lowest || code > -lowest - 1) continue;
    const float error = fit::grid_error<Grid>(x, n, d * static_cast<float>(code));
    if (error < best_error) {
      best_error = error;
      best = code;
    }
  }
  return best;
}

// Fills the groups' scale codes, writes d, and returns it as it reads.
template <class Grid>
float fit_grid_scales(const float* x, const GridGroups& shape, u8* d_out, int* scale_codes) {
  const int n = kSuper / shape.groups;
  float scales[16];
  for (int g = 0; g < shape.groups; ++g) {
    scales[g] = fit::fit_grid<Grid>(x + g * n, n, shape.reach, shape.step);
  }
  const float top = fit::signed_max(scales, shape.groups);
  const float d = put_half(d_out, top / static_cast<float>(shape.lowest_scale));
  for (int g = 0; g < shape.groups; ++g) {
    scale_codes[g] = best_scale_code<Grid>(x + g * n, n, d, scales[g], shape.lowest_scale);
  }
  return d;
}

template <class Grid>
void levels_of(const float* x, int n, float scale, int* levels) {
  const float inverse = fit::inverse_of(scale);
  for (int i = 0; i < n; ++i) levels[i] = static_cast<int>(Grid::level(x[i] * inverse));
}

// ---- super-blocks on lines: a scale and a minimum code per group, both unsigned
// ------------------

struct LineGroups {
  int groups;
  int highest_code;   // of the weights
  int highest_scale;  // of the scales and minima
  int reach;          // trials of fit_line on either side
  float step;
};

struct LineCodes {
  int scale, low;
};

int nearest_code(float ideal, float d, int highest) {
  const float code = ideal * fit::inverse_of(d);
  return static_cast<int>(fit::nearest(fit::clamp(code, 0.0f, static_cast<float>(highest))));
}

fit::Line line_of(const LineCodes& codes, float d, float dmin) {
  return {d * static_cast<float>(codes.scale), -(dmin * static_cast<float>(codes.low))};
}

// The pair of codes with the least error among the ideal one and its eight neighbours.
LineCodes best_line_codes(const float* x, const LineGroups& shape, float d, float dmin,
                          const fit::Line& ideal) {
  const int n = kSuper / shape.groups;
  const int scale = nearest_code(ideal.scale, d, shape.highest_scale);
  const int low = nearest_code(-ideal.low, dmin, shape.highest_scale);
  LineCodes best = {scale, low};
  float best_error = -1;
  for (int s = scale - 1; s <= scale + 1; ++s) {
    for (int m = low - 1; m <= low + 1; ++m) {
      if (s < 0 || m < 0 || s > shape.highest_scale || m > shape.highest_scale) continue;
      const float error =
          fit::line_error(x, n, line_of({s, m}, d, dmin), static_cast<float>(shape.highest_code));
      if (best_error < 0 || error < best_error) {
        best_error = error;
        best = {s, m};
      }
    }
  }
  return best;
}

// Writes d and dmin to d_out, the groups' codes to `lines`, the weights' codes to `codes`.
void quantize_lines(const float* x, const LineGroups& shape, u8* d_out, LineCodes* lines,
                    int* codes) {
  const int n = kSuper / shape.groups;
  const float highest = static_cast<float>(shape.highest_code);
  fit::Line ideal[16];
  float top_scale = 0, top_low = 0;
  for (int g = 0; g < shape.groups; ++g) {
    ideal[g] = fit::fit_line(x + g * n, n, highest, shape.reach, shape.step);
    if (ideal[g].scale > top_scale) top_scale = ideal[g].scale;
    if (-ideal[g].low > top_low) top_low = -ideal[g].low;
  }
  const float d = put_half(d_out, top_scale / static_cast<float>(shape.highest_scale));
  const float dmin = put_half(d_out + 2, top_low / static_cast<float>(shape.highest_scale));
  for (int g = 0; g < shape.groups; ++g) {
    lines[g] = best_line_codes(x + g * n, shape, d, dmin, ideal[g]);
    const fit::Line line = line_of(lines[g], d, dmin);
    const float inverse = fit::inverse_of(line.scale);
    for (int i = g * n; i < (g + 1) * n; ++i) {
      codes[i] = static_cast<int>(fit::line_code(x[i], line, inverse, highest));
    }
  }
}

// ---- bits -------------------------------------------------------------------------------------

// Two low bits of 256 codes: per 128 weights 32 bytes, each with a code of all four quarters.
void put_two_bits(const int* codes, u8* out) {
  for (int i = 0; i < 64; ++i) {
    const int* quarter = codes + (i / 32) * 128 + i % 32;
    out[i] = static_cast<u8>((quarter[0] & 3) | (quarter[32] & 3) << 2 | (quarter[64] & 3) << 4 |
                             (quarter[96] & 3) << 6);
  }
}

// Four low bits: per 64 weights 32 bytes, the first half in the low nibbles.
void put_nibbles(const int* codes, u8* out) {
  for (int i = 0; i < 128; ++i) {
    const int* pair = codes + (i / 32) * 64 + i % 32;
    out[i] = static_cast<u8>((pair[0] & 15) | (pair[32] & 15) << 4);
  }
}

// Bit `bit` of 256 codes: bit p of byte i is that of weight 32·p + i.
void put_high_bits(const int* codes, int bit, u8* out) {
  std::memset(out, 0, 32);
  for (int i = 0; i < kSuper; ++i) {
    out[i % 32] = static_cast<u8>(out[i % 32] | ((codes[i] >> bit) & 1) << (i / 32));
  }
}

// Eight scales and minima of six bits in 12 bytes.
void put_lines(const LineCodes* lines, u8* out) {
  for (int j = 0; j < 4; ++j) {
    out[j] = static_cast<u8>(lines[j].scale | (lines[j + 4].scale >> 4) << 6);
    out[j + 4] = static_cast<u8>(lines[j].low | (lines[j + 4].low >> 4) << 6);
    out[j + 8] = static_cast<u8>((lines[j + 4].scale & 15) | (lines[j + 4].low & 15) << 4);
  }
}

// ---- formats ----------------------------------------------------------------------------------

void quantize_q2_k(const float* x, u8* out) {
  LineCodes lines[16];
  int codes[kSuper];
  quantize_lines(x, {16, 3, 15, 12, 0.1f}, out + 80, lines, codes);
  for (int g = 0; g < 16; ++g) out[g] = static_cast<u8>(lines[g].scale | lines[g].low << 4);
  put_two_bits(codes, out + 16);
}

void quantize_q3_k(const float* x, u8* out) {
  int scales[16], codes[kSuper];
  const float d = fit_grid_scales<Q3Grid>(x, {16, -32, 10, 0.1f}, out + 108, scales);
  std::memset(out + 96, 0, 12);
  for (int g = 0; g < 16; ++g) {
    levels_of<Q3Grid>(x + 16 * g, 16, d * static_cast<float>(scales[g]), codes + 16 * g);
    const int code = scales[g] + 32;
    out[96 + g % 8] = static_cast<u8>(out[96 + g % 8] | (code & 15) << (4 * (g / 8)));
    out[104 + g % 4] = static_cast<u8>(out[104 + g % 4] | (code >> 4) << (2 * (g / 4)));
  }
  for (int& code : codes) code += 4;
  put_high_bits(codes, 2, out);
  put_two_bits(codes, out + 32);
}

void quantize_q4_k(const float* x, u8* out) {
  LineCodes lines[8];
  int codes[kSuper];
  quantize_lines(x, {8, 15, 63, 10, 0.1f}, out, lines, codes);
  put_lines(lines, out + 4);
  put_nibbles(codes, out + 16);
}

void quantize_q5_k(const float* x, u8* out) {
  LineCodes lines[8];
  int codes[kSuper];
  quantize_lines(x, {8, 31, 63, 10, 0.1f}, out, lines, codes);
  put_lines(lines, out + 4);
  put_high_bits(codes, 4, out + 16);
  put_nibbles(codes, out + 48);
}

void quantize_q6_k(const float* x, u8* out) {
  int scales[16], codes[kSuper];
  const float d = fit_grid_scales<Q6Grid>(x, {16, -128, 10, 0.1f}, out + 208, scales);
  for (int g = 0; g < 16; ++g) {
    levels_of<Q6Grid>(x + 16 * g, 16, d * static_cast<float>(scales[g]), codes + 16 * g);
    out[192 + g] = static_cast<u8>(scales[g]);
  }
  for (int& code : codes) code += 32;
  for (int i = 0; i < 64; ++i) {
    const int* c = codes + (i / 32) * 128 + i % 32;
    u8* low = out + (i / 32) * 64 + i % 32;
    low[0] = static_cast<u8>((c[0] & 15) | (c[64] & 15) << 4);
    low[32] = static_cast<u8>((c[32] & 15) | (c[96] & 15) << 4);
    out[128 + i] = static_cast<u8>(c[0] >> 4 | c[32] >> 4 << 2 | c[64] >> 4 << 4 | c[96] >> 4 << 6);
  }
}

// 32 weights in 16 bytes.
void put_iq4(const float* x, float scale, u8* out) {
  const float inverse = fit::inverse_of(scale);
  for (int i = 0; i < 16; ++i) {
    out[i] =
        static_cast<u8>(Iq4Grid::code(x[i] * inverse) | Iq4Grid::code(x[i + 16] * inverse) << 4);
  }
}

void quantize_iq4_xs(const float* x, u8* out) {
  int scales[8];
  const float d = fit_grid_scales<Iq4Grid>(x, {8, -32, 8, 1.5f}, out, scales);
  std::memset(out + 2, 0, 6);
  for (int g = 0; g < 8; ++g) {
    const int code = scales[g] + 32;
    out[2 + g / 4] = static_cast<u8>(out[2 + g / 4] | (code >> 4) << (2 * (g % 4)));
    out[4 + g / 2] = static_cast<u8>(out[4 + g / 2] | (code & 15) << (4 * (g % 2)));
    put_iq4(x + 32 * g, d * static_cast<float>(scales[g]), out + 8 + 16 * g);
  }
}

}  // namespace

void quantize_iq4_nl(const float* x, std::byte* block) noexcept {
  u8* out = reinterpret_cast<u8*>(block);
  const float d = put_half(out, fit::fit_grid<Iq4Grid>(x, 32, 8, 1.5f));
  put_iq4(x, d, out + 2);
}

void quantize_super_block(Format format, const float* x, std::byte* block) noexcept {
  u8* out = reinterpret_cast<u8*>(block);
  switch (format) {
    case Format::q2_k:
      return quantize_q2_k(x, out);
    case Format::q3_k:
      return quantize_q3_k(x, out);
    case Format::q4_k:
      return quantize_q4_k(x, out);
    case Format::q5_k:
      return quantize_q5_k(x, out);
    case Format::q6_k:
      return quantize_q6_k(x, out);
    case Format::iq4_xs:
      return quantize_iq4_xs(x, out);
    default:
      return;
  }
}

}  // namespace nautile::kernels
