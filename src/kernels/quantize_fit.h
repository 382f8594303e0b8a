// quantize_fit.h — the search for scales of least squared error, for the quantizers alone.
//
// Two kinds of groups. On a grid: x ≈ scale·level, levels of either sign. On a line: x ≈ scale·code
// + low, codes from zero up and low ≤ 0. Sizes n are multiples of kLanes.
#pragma once

#include <cmath>

namespace nautile::kernels::fit {

// Sums run in this many lanes, so that the compiler may vectorise them without reordering.
inline constexpr int kLanes = 8;

// Magnitudes below are taken for zero: their scales are far below the smallest half float.
inline constexpr float kTiny = 1e-15f;

// To the nearest whole number, ties to even, for |v| < 2^22; no instruction beyond the baseline's.
inline float nearest(float v) {
  constexpr float kMagic = 12582912.0f;  // 1.5·2^23
  return (v + kMagic) - kMagic;
}

inline float clamp(float v, float low, float high) {
  return v > low ? (v < high ? v : high) : low;  // NaN becomes low
}

inline float total(const float (&lanes)[kLanes]) {
  float sum = 0;
  for (int k = 0; k < kLanes; ++k) sum += lanes[k];
  return sum;
}

// Whole levels kLowest … kHighest.
template <int kLowest, int kHighest>
struct WholeGrid {
  static constexpr float kLow = kLowest;
  static float level(float v) {
    return nearest(clamp(v, static_cast<float>(kLowest), static_cast<float>(kHighest)));
  }
};

// The element of the largest magnitude, with its sign.
inline float signed_max(const float* x, int n) {
  float best = 0;
  for (int i = 0; i < n; ++i) {
    if (std::fabs(x[i]) > std::fabs(best)) best = x[i];
  }
  return best;
}

inline float inverse_of(float s) {
  return std::fabs(s) > kTiny * kTiny ? 1.0f / s : 0.0f;
}

template <class Grid>
float grid_error(const float* x, int n, float scale) {
  const float inverse = inverse_of(scale);
  float lanes[kLanes] = {};
  for (int i = 0; i < n; i += kLanes) {
    for (int k = 0; k < kLanes; ++k) {
      const float e = x[i + k] - scale * Grid::level(x[i + k] * inverse);
      lanes[k] += e * e;
    }
  }
  return total(lanes);
}

// For levels chosen with a trial scale the best scale is Σxl/Σl², and it lowers the error from Σx²
// by (Σxl)²/Σl². Trial scales put the largest element near the lowest level, `reach` steps around
// it.
template <class Grid>
float fit_grid(const float* x, int n, int reach, float step) {
  const float top = signed_max(x, n);
  if (!(std::fabs(top) > kTiny)) return 0.0f;
  float best = 0, best_gain = 0;
  for (int t = -reach; t <= reach; ++t) {
    const float inverse = (Grid::kLow + step * static_cast<float>(t)) / top;
    float products[kLanes] = {}, squares[kLanes] = {};
    for (int i = 0; i < n; i += kLanes) {
      for (int k = 0; k < kLanes; ++k) {
        const float level = Grid::level(x[i + k] * inverse);
        products[k] += x[i + k] * level;
        squares[k] += level * level;
      }
    }
    const float xl = total(products), ll = total(squares);
    if (ll > 0 && xl * xl > best_gain * ll) {
      best_gain = xl * xl / ll;
      best = xl / ll;
    }
  }
  return best;
}

struct Line {
  float scale, low;
};

inline float line_code(float x, const Line& line, float inverse, float highest) {
  return nearest(clamp((x - line.low) * inverse, 0.0f, highest));
}

inline float line_error(const float* x, int n, const Line& line, float highest) {
  const float inverse = inverse_of(line.scale);
  float lanes[kLanes] = {};
  for (int i = 0; i < n; i += kLanes) {
    for (int k = 0; k < kLanes; ++k) {
      const float e =
          x[i + k] - (line.scale * line_code(x[i + k], line, inverse, highest) + line.low);
      lanes[k] += e * e;
    }
  }
  return total(lanes);
}

// Least squares of scale and low for the codes that `trial` gives; low is held at zero if it would
// be above, as the file stores −low without a sign.
inline Line refit_line(const float* x, int n, const Line& trial, float highest) {
  const float inverse = inverse_of(trial.scale);
  float c[kLanes] = {}, cc[kLanes] = {}, xs[kLanes] = {}, xc[kLanes] = {};
  for (int i = 0; i < n; i += kLanes) {
    for (int k = 0; k < kLanes; ++k) {
      const float code = line_code(x[i + k], trial, inverse, highest);
      c[k] += code;
      cc[k] += code * code;
      xs[k] += x[i + k];
      xc[k] += x[i + k] * code;
    }
  }
  const float count = static_cast<float>(n);
  const float codes = total(c), squares = total(cc), sum = total(xs), products = total(xc);
  const float determinant = count * squares - codes * codes;
  if (!(determinant > 0)) return trial;
  const Line line = {(count * products - codes * sum) / determinant,
                     (squares * sum - codes * products) / determinant};
  if (line.low <= 0) return line;
  return {squares > 0 ? products / squares : 0.0f, 0.0f};
}

// Trials stretch and shrink the range from the minimum (or zero) to the maximum.
inline Line fit_line(const float* x, int n, float highest, int reach, float step) {
  float low = 0, high = x[0];
  for (int i = 0; i < n; ++i) {
    if (x[i] < low) low = x[i];
    if (x[i] > high) high = x[i];
  }
  if (!(high - low > kTiny)) return {0.0f, low};
  Line best = {(high - low) / highest, low};
  float best_error = line_error(x, n, best, highest);
  for (int t = -reach; t <= reach; ++t) {
    const Line trial = {(high - low) / (highest + step * static_cast<float>(t)), low};
    const Line line = refit_line(x, n, trial, highest);
    if (!(line.scale > 0)) continue;
    const float error = line_error(x, n, line, highest);
    if (error < best_error) {
      best_error = error;
      best = line;
    }
  }
  return best;
}

}  // namespace nautile::kernels::fit
