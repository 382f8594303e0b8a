// backend_testing.h — what tests of a backend share: its tables, random numbers, random weights.
#pragma once

#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "backend/cpu_backend.h"
#include "base/cpu_features_testing.h"
#include "kernels/amx_testing.h"
#include "kernels/quantize.h"

namespace nautile::testing_tools {

struct Table {
  std::string name;
  const kernels::Kernels* kernels;

  CpuBackend backend(int threads) const {
    return CpuBackend({kernels->isa, threads, {}}, *kernels);
  }
};

// Every table to try; amx over emulated tiles as well.
inline std::vector<Table> tables() {
  std::vector<Table> list;
  for (Isa isa : tables_to_try()) list.push_back({std::string(name(isa)), &kernels::table(isa)});
  const kernels::Kernels* emulated = kernels::testing::emulated_amx();
  if (emulated) list.push_back({"amx, emulated", emulated});
  return list;
}

inline std::vector<float> normal(std::size_t n, unsigned seed, float scale = 1) {
  std::mt19937 random(seed);
  std::normal_distribution<float> draw(0, scale);
  std::vector<float> values(n);
  for (float& v : values) v = draw(random);
  return values;
}

// A random matrix in a format, with its bytes.
struct Matrix {
  std::vector<std::byte> bytes, scales;
  MatrixView view;
};

inline Matrix make_matrix(Format format, std::int64_t rows, std::int64_t cols, unsigned seed) {
  const std::size_t n = static_cast<std::size_t>(rows * cols);
  const std::vector<float> values = normal(n, seed, 0.1f);
  Matrix m;
  const std::size_t stride = row_bytes(format, static_cast<std::size_t>(cols));
  m.bytes.resize(stride * static_cast<std::size_t>(rows) + 64);
  m.view = {
      .format = format, .data = m.bytes.data(), .row_stride = stride, .rows = rows, .cols = cols};
  if (format == Format::f8_e4m3) {
    std::vector<float> scales(static_cast<std::size_t>((rows + 127) / 128 * ((cols + 127) / 128)));
    kernels::quantize_f8_blocks(values.data(), static_cast<int>(rows), static_cast<int>(cols),
                                kernels::F8Scale::any, m.bytes.data(), scales.data());
    m.scales.resize(scales.size() * 4);
    std::memcpy(m.scales.data(), scales.data(), m.scales.size());
    m.view.scale_format = ScaleFormat::f32;
    m.view.scales = m.scales.data();
    return m;
  }
  for (std::int64_t r = 0; r < rows; ++r) {
    kernels::quantize_row(format, values.data() + r * cols, static_cast<int>(cols),
                          m.bytes.data() + static_cast<std::size_t>(r) * stride);
  }
  return m;
}

}  // namespace nautile::testing_tools
