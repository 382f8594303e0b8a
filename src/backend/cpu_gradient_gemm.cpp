// cpu_gradient_gemm.cpp — gradients of products: the same GEMM, with sums over rows.
#include <algorithm>

#include "backend/cpu_gemm.h"
#include "backend/cpu_gradients.h"
#include "base/error.h"

namespace nautile {
namespace {

// Rows of m that one chain of a weight's gradient sums before it is added to dw. Part of the
// arithmetic: a longer chain loses accuracy (F32), a shorter one costs passes over dw; the packed
// operands of one chunk stay in the outer caches.
constexpr std::int64_t kGradientRows = 2048;
constexpr std::int64_t kScaleRows = 128;  // weight rows that share a scale of F8

// The part of a product that takes rows [begin, begin + count) of its weight.
Product part_of(const Product& product, std::int64_t begin, std::int64_t count) {
  Product part = product;
  part.w = product.w.slice(begin, count);
  part.x += begin;
  return part;
}

}  // namespace

void CpuGradients::input_gradients(std::span<const Product> list, Write write,
                                   std::optional<ComputeClass> forced) {
  // A slice may begin inside a block of F8 scales: what is left of the block makes its own pass, so
  // that the others' sums are cut where the scales are.
  std::vector<Product> pass, rest;
  for (int c = 0; c < kComputeClassCount; ++c) {
    const ComputeClass compute = static_cast<ComputeClass>(c);
    pass.clear();
    rest.clear();
    for (const Product& product : list) {
      ComputeClass wanted = forced.value_or(backend_.compute_class(product.w.format));
      if (wanted == ComputeClass::i8) wanted = ComputeClass::bf16;
      if (wanted != compute || product.w.cols == 0) continue;
      NAUTILE_ASSERT(compute != ComputeClass::fp8dyn || product.w.format == Format::f8_e4m3,
                     "class fp8dyn with weights of {}", info(product.w.format).name);
      const std::int64_t head =
          std::min(product.w.rows, (kScaleRows - product.w.first_row % kScaleRows) % kScaleRows);
      if (compute != ComputeClass::fp8dyn || head == 0 || head == product.w.rows) {
        pass.push_back(product);
        continue;
      }
      pass.push_back(part_of(product, 0, head));
      rest.push_back(part_of(product, head, product.w.rows - head));
    }
    GemmRule rule{.compute = compute, .weights = SumOver::rows, .write = write};
    for (Product& product : pass) product.bias = nullptr;
    if (!pass.empty()) GemmRun(backend_, pass, rule).run();
    rule.write = Write::add;
    if (!rest.empty()) GemmRun(backend_, rest, rule).run();
  }
}

void CpuGradients::weight_gradients(std::span<const OuterProduct> list, ComputeClass compute) {
  NAUTILE_ASSERT(compute != ComputeClass::i8, "a weight's gradient in class i8");
  std::int64_t most = 0;
  for (const OuterProduct& p : list) most = std::max(most, p.m);
  std::vector<Product> chunk;
  for (std::int64_t first = 0; first < most; first += kGradientRows) {
    chunk.clear();
    for (const OuterProduct& p : list) {
      if (first >= p.m || p.out == 0 || p.in == 0) continue;
      const std::size_t row = static_cast<std::size_t>(first);
      const MatrixView x{.format = Format::f32,
                         .data = reinterpret_cast<const std::byte*>(p.x + row * p.x_stride),
                         .row_stride = p.x_stride * sizeof(float),
                         .rows = std::min(kGradientRows, p.m - first),
                         .cols = p.in};
      chunk.push_back(
          {x, p.dy + row * p.dy_stride, p.dy_stride, p.out, p.dw, p.dw_stride, nullptr});
    }
    const GemmRule rule{
        .compute = compute, .inputs = SumOver::rows, .weights = SumOver::rows, .write = Write::add};
    if (!chunk.empty()) GemmRun(backend_, chunk, rule).run();
  }
}

}  // namespace nautile
