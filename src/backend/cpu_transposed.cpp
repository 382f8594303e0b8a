// cpu_transposed.cpp — products with a weight's columns, of few input rows, in F32.
#include <algorithm>
#include <cstring>

#include "backend/cpu_gemm.h"

namespace nautile {

void CpuBackend::products_transposed(std::span<const Product> list) {
  // Columns are cut into runs of whole blocks; a thread unpacks 64 weight rows of its run at a
  // time.
  constexpr std::int64_t kColumns = 256, kRows = 64;
  struct Piece {
    const Product* product;
    std::int64_t column;
  };
  std::vector<Piece> pieces;
  for (const Product& product : list) {
    for (std::int64_t column = 0; column < product.w.cols; column += kColumns)
      pieces.push_back({&product, column});
  }
  pool_.parallel_for(
      static_cast<std::int64_t>(pieces.size()), 1,
      [&](std::int64_t begin, std::int64_t end, int thread) {
        std::int64_t most = 1;
        for (std::int64_t i = begin; i < end; ++i)
          most = std::max(most, pieces[static_cast<std::size_t>(i)].product->m);
        float* rows =
            reinterpret_cast<float*>(workspaces_[static_cast<std::size_t>(thread)].reserve(
                static_cast<std::size_t>(kRows * kColumns + most) * sizeof(float)));
        float* ones = rows + kRows * kColumns;
        std::fill(ones, ones + most, 1.0f);
        for (std::int64_t i = begin; i < end; ++i) {
          const auto& [product, column] = pieces[static_cast<std::size_t>(i)];
          const MatrixView& w = product->w;
          const int columns = static_cast<int>(std::min(kColumns, w.cols - column));
          for (std::int64_t r = 0; r < product->m; ++r) {
            std::memset(product->y + static_cast<std::size_t>(r) * product->y_stride + column, 0,
                        static_cast<std::size_t>(columns) * 4);
          }
          for (std::int64_t row = 0; row < w.rows; row += kRows) {
            const std::int64_t count = std::min(kRows, w.rows - row);
            for (std::int64_t r = 0; r < count; ++r) {
              read_row(kernels_, w, row + r, column, columns, rows + r * kColumns);
            }
            kernels_.attention.mix(
                product->x + row, product->x_stride, static_cast<int>(product->m), ones, rows,
                kColumns, static_cast<int>(count), columns, product->y + column, product->y_stride);
          }
        }
      });
}

}  // namespace nautile
