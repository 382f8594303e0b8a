// rows.cpp — cases of what is done to each row by itself.
#include <cmath>
#include <memory>

#include "tests/op_cases/op_case.h"

namespace nautile::testing {
namespace {

std::size_t at(std::int64_t i) {
  return static_cast<std::size_t>(i);
}

OpCase rms_norm(std::int64_t T, std::int64_t D) {
  constexpr float kEps = 1e-6f;
  return {.name = "rms_norm",
          .inputs = {{"x", {T, D}}, {"gain", {D}, OpInput::Kind::parameter, 0.3, 1}},
          .run = [](Context& ctx,
                    const OpArguments& a) { return ops::rms_norm(ctx, a.x(0), a.vector(1), kEps); },
          .formula =
              [=](const std::vector<Numbers>& in) {
                Numbers y(at(T * D));
                for (std::size_t t = 0; t < at(T); ++t) {
                  const double* x = &in[0][t * at(D)];
                  double sum = 0;
                  for (std::size_t i = 0; i < at(D); ++i) sum += x[i] * x[i];
                  const double r =
                      std::sqrt(sum / static_cast<double>(D) + static_cast<double>(kEps));
                  for (std::size_t i = 0; i < at(D); ++i) y[t * at(D) + i] = x[i] * in[1][i] / r;
                }
                return y;
              },
          .terms = D + T,
          .flops = 4.0 * static_cast<double>(T * D)};
}

OpCase rope(std::int64_t T, std::int64_t heads, Backend::RopeOrder order) {
  constexpr std::int64_t kColumn = 3, kHalf = 5, kHead = kColumn + 2 * kHalf;
  auto table = std::make_shared<ops::RopeTable>();
  auto positions = std::make_shared<std::vector<std::int32_t>>();
  table->half = kHalf;
  table->order = order;
  for (std::int64_t p = 0; p < T + 2; ++p) {
    for (std::int64_t i = 0; i < kHalf; ++i) {
      const double angle =
          static_cast<double>(p) * std::pow(100.0, -static_cast<double>(i) / kHalf);
      table->cos.push_back(static_cast<float>(std::cos(angle)));
      table->sin.push_back(static_cast<float>(std::sin(angle)));
    }
  }
  for (std::int64_t t = 0; t < T; ++t) positions->push_back(static_cast<std::int32_t>(t + 1));
  const bool pairs = order == Backend::RopeOrder::pairs;
  return {.name = pairs ? "rope pairs" : "rope halves",
          .inputs = {{"x", {T, heads * kHead}}},
          .run =
              [=](Context& ctx, const OpArguments& a) {
                return ops::rope(ctx, a.x(0), kColumn, kHead, heads, *positions, *table);
              },
          .formula =
              [=](const std::vector<Numbers>& in) {
                Numbers y = in[0];
                for (std::int64_t t = 0; t < T; ++t) {
                  for (std::int64_t i = 0; i < heads * kHalf; ++i) {
                    const std::int64_t h = i / kHalf, j = i % kHalf;
                    const std::size_t first = at((t * heads + h) * kHead + kColumn);
                    const std::size_t a = first + at(pairs ? 2 * j : j),
                                      b = first + at(pairs ? 2 * j + 1 : kHalf + j);
                    const std::size_t angle = at((t + 1) * kHalf + j);
                    const double c = static_cast<double>(table->cos[angle]),
                                 s = static_cast<double>(table->sin[angle]);
                    y[a] = in[0][a] * c - in[0][b] * s;
                    y[b] = in[0][b] * c + in[0][a] * s;
                  }
                }
                return y;
              },
          .terms = 2,
          .flops = 6.0 * static_cast<double>(T * heads * kHalf)};
}

// Columns change places: split and join, the halves scaled so that each is seen.
OpCase split_join(std::int64_t T, std::int64_t D) {
  const std::int64_t left = D / 3;
  return {.name = "split, scale, join",
          .inputs = {{"x", {T, D}}},
          .run =
              [=](Context& ctx, const OpArguments& a) {
                const ops::Halves half = ops::split(ctx, a.x(0), left);
                return ops::join(ctx, ops::scale(ctx, half.right, 2), half.left);
              },
          .formula =
              [=](const std::vector<Numbers>& in) {
                Numbers y;
                for (std::int64_t t = 0; t < T; ++t) {
                  for (std::int64_t i = left; i < D; ++i) y.push_back(2 * in[0][at(t * D + i)]);
                  for (std::int64_t i = 0; i < left; ++i) y.push_back(in[0][at(t * D + i)]);
                }
                return y;
              },
          .flops = static_cast<double>(T * D)};
}

OpCase take_rows(std::int64_t T, std::int64_t D) {
  auto index = std::make_shared<std::vector<std::int32_t>>();
  for (std::int64_t t = 0; t < T; t += t % 3 ? 1 : 2)
    index->push_back(static_cast<std::int32_t>(t));
  return {.name = "take_rows",
          .inputs = {{"x", {T, D}}},
          .run = [=](Context& ctx,
                     const OpArguments& a) { return ops::take_rows(ctx, a.x(0), *index); },
          .formula =
              [=](const std::vector<Numbers>& in) {
                Numbers y;
                for (std::int32_t t : *index) {
                  for (std::int64_t i = 0; i < D; ++i) y.push_back(in[0][at(t * D + i)]);
                }
                return y;
              }};
}

OpCase round_to(std::int64_t T, std::int64_t D) {
  return {.name = "round_to BF16",
          .inputs = {{"x", {T, D}}},
          .run = [](Context& ctx,
                    const OpArguments& a) { return ops::round_to(ctx, a.x(0), Format::bf16); },
          .formula = [](const std::vector<Numbers>& in) { return in[0]; },
          .rounding = 0x1p-8};
}

OpCase silu_mul(std::int64_t T, std::int64_t F) {
  return {
      .name = "silu_mul",
      .inputs = {{"gate", {T, F}}, {"up", {T, F}}},
      .run = [](Context& ctx, const OpArguments& a) { return ops::silu_mul(ctx, a.x(0), a.x(1)); },
      .formula =
          [](const std::vector<Numbers>& in) {
            Numbers y(in[0].size());
            for (std::size_t i = 0; i < y.size(); ++i)
              y[i] = in[0][i] / (1 + std::exp(-in[0][i])) * in[1][i];
            return y;
          },
      .terms = 4,
      .flops = 6.0 * static_cast<double>(T * F)};
}

// Spans of one, of none and of many; the last number lies in none.
OpCase span_sums(std::int64_t T) {
  const auto bounds = std::make_shared<std::vector<std::int32_t>>(
      std::vector<std::int32_t>{0, 1, 1, static_cast<std::int32_t>(T - 1)});
  return {.name = "span_sums",
          .inputs = {{"x", {T}}},
          .run = [bounds](Context& ctx,
                          const OpArguments& a) { return ops::span_sums(ctx, a.x(0), *bounds); },
          .formula =
              [bounds](const std::vector<Numbers>& in) {
                Numbers y(bounds->size() - 1);
                for (std::size_t s = 0; s < y.size(); ++s) {
                  for (std::int32_t i = (*bounds)[s]; i < (*bounds)[s + 1]; ++i)
                    y[s] += in[0][static_cast<std::size_t>(i)];
                }
                return y;
              },
          .terms = T,
          .flops = static_cast<double>(T)};
}

OpCase log_sigmoid(std::int64_t T) {
  return {.name = "log_sigmoid",
          .inputs = {{"x", {T}, OpInput::Kind::activation, 3}},
          .run = [](Context& ctx, const OpArguments& a) { return ops::log_sigmoid(ctx, a.x(0)); },
          .formula =
              [](const std::vector<Numbers>& in) {
                Numbers y(in[0].size());
                for (std::size_t i = 0; i < y.size(); ++i) y[i] = -std::log1p(std::exp(-in[0][i]));
                return y;
              },
          .terms = 2,
          .flops = 4.0 * static_cast<double>(T)};
}

// x once more beside itself: two gradients meet at one value.
OpCase add(std::int64_t T, std::int64_t D) {
  return {.name = "add",
          .inputs = {{"a", {T, D}}, {"b", {T, D}}},
          .run =
              [](Context& ctx, const OpArguments& a) {
                return ops::add(ctx, ops::add(ctx, a.x(0), a.x(1)), a.x(0));
              },
          .formula =
              [](const std::vector<Numbers>& in) {
                Numbers y(in[0].size());
                for (std::size_t i = 0; i < y.size(); ++i) y[i] = 2 * in[0][i] + in[1][i];
                return y;
              },
          .terms = 2,
          .flops = 2.0 * static_cast<double>(T * D)};
}

}  // namespace

std::vector<OpCase> row_op_cases(OpSize size) {
  const std::int64_t T = size == OpSize::small ? 7 : 8192, D = size == OpSize::small ? 19 : 256;
  return {rms_norm(T, D),
          rope(T, 3, Backend::RopeOrder::pairs),
          rope(T, 3, Backend::RopeOrder::halves),
          split_join(T, D),
          take_rows(T, D),
          round_to(T, D),
          silu_mul(T, D),
          add(T, D),
          span_sums(T),
          log_sigmoid(T)};
}

}  // namespace nautile::testing
