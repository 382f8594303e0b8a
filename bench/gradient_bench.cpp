// gradient_bench.cpp — GFLOP/s of products and of their gradients at shapes of training, side by
// side, and of attention with its gradient. `nautile_bench_gradient [THREADS]`. Each figure is the
// best of a few calls: by CPU time for one thread, which other work on the machine disturbs less;
// by the clock for more.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <ctime>
#include <functional>
#include <random>
#include <vector>

#include "backend/gradient_backend.h"
#include "base/cpu_features.h"
#include "base/parallel.h"
#include "kernels/quantize.h"

namespace nautile {
namespace {

struct Shape {
  std::int64_t out, in, m;  // rows of each product
  int experts;
};
constexpr Shape kShapes[] = {{1024, 1024, 8192, 1}, {704, 256, 8192, 1},  {256, 704, 8192, 1},
                             {704, 256, 2048, 16},  {256, 704, 2048, 16}, {160, 256, 2048, 16}};

std::vector<float> normal(std::size_t n, float scale) {
  std::minstd_rand random(static_cast<unsigned>(n));
  std::uniform_real_distribution<float> draw(-scale, scale);
  std::vector<float> values(n);
  for (float& value : values) value = draw(random);
  return values;
}

double seconds(int threads) {
  if (threads == 1) return static_cast<double>(std::clock()) / CLOCKS_PER_SEC;
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  return std::chrono::duration<double>(now).count();
}

// Seconds of the best call.
double best(const Backend& backend, const std::function<void()>& call) {
  double least = 1e9, total = 0;
  for (int i = 0; i < 40 && (i < 5 || total < 1.0); ++i) {
    const double begin = seconds(backend.threads());
    call();
    const double taken = seconds(backend.threads()) - begin;
    least = std::min(least, taken);
    total += taken;
  }
  return least;
}

// Expert e's weights, in F32 or as codes with their scales.
struct Weights {
  Weights(const Shape& s, ComputeClass compute) : shape(s) {
    const std::size_t one = static_cast<std::size_t>(s.out * s.in);
    values = normal(one * static_cast<std::size_t>(s.experts), 0.1f);
    if (compute != ComputeClass::fp8dyn) return;
    blocks = static_cast<std::size_t>((s.out + 127) / 128 * ((s.in + 127) / 128));
    codes.resize(values.size());
    scales.resize(blocks * static_cast<std::size_t>(s.experts));
    for (std::size_t e = 0; e < static_cast<std::size_t>(s.experts); ++e) {
      kernels::quantize_f8_blocks(values.data() + e * one, static_cast<int>(s.out),
                                  static_cast<int>(s.in), kernels::F8Scale::any,
                                  codes.data() + e * one, scales.data() + e * blocks);
    }
  }
  MatrixView view(std::size_t e) const {
    const std::size_t one = static_cast<std::size_t>(shape.out * shape.in);
    MatrixView w{.rows = shape.out, .cols = shape.in};
    w.format = codes.empty() ? Format::f32 : Format::f8_e4m3;
    w.row_stride = row_bytes(w.format, static_cast<std::size_t>(shape.in));
    w.data = codes.empty() ? reinterpret_cast<const std::byte*>(values.data() + e * one)
                           : codes.data() + e * one;
    if (codes.empty()) return w;
    w.scale_format = ScaleFormat::f32;
    w.scales = reinterpret_cast<const std::byte*>(scales.data() + e * blocks);
    return w;
  }

  Shape shape;
  std::size_t blocks = 0;
  std::vector<float> values, scales;
  std::vector<std::byte> codes;
};

void products(Backend& backend, const Shape& s, ComputeClass compute) {
  const std::size_t in = static_cast<std::size_t>(s.in), out = static_cast<std::size_t>(s.out),
                    rows = static_cast<std::size_t>(s.m),
                    experts = static_cast<std::size_t>(s.experts);
  const Weights weights(s, compute);
  std::vector<float> x = normal(experts * rows * in, 1), y = normal(experts * rows * out, 1);
  std::vector<float> dx(x.size()), dw(experts * in * out);
  std::vector<Product> forward, backward;
  std::vector<OuterProduct> outer;
  for (std::size_t e = 0; e < experts; ++e) {
    float *xe = x.data() + e * rows * in, *ye = y.data() + e * rows * out;
    forward.push_back({weights.view(e), xe, in, s.m, ye, out, nullptr});
    backward.push_back({weights.view(e), ye, out, s.m, dx.data() + e * rows * in, in, nullptr});
    outer.push_back({ye, out, xe, in, s.m, s.out, s.in, dw.data() + e * in * out, in});
  }
  const double flops = 2e-9 * static_cast<double>(experts * rows * in * out);
  const double plain = flops / best(backend, [&] { backend.products(forward, compute); });
  const double input =
      flops / best(backend, [&] {
        backend.gradients().input_gradients(backward, GradientBackend::Write::replace, compute);
      });
  const double weight =
      flops / best(backend, [&] { backend.gradients().weight_gradients(outer, compute); });
  fmt::print("{:>5} x {:<5} m {:<5} x {:<3} {:<7} {:8.1f} {:8.1f} {:5.0f} % {:8.1f} {:5.0f} %\n",
             s.out, s.in, s.m, s.experts, name(compute), plain, input, 100 * input / plain, weight,
             100 * weight / plain);
}

// One long document, or many short ones.
void attention(Backend& backend, std::int32_t tokens, std::int32_t document) {
  const int heads = 8, dims = 96, values = 64, shared = 32;
  const std::size_t t = static_cast<std::size_t>(tokens);
  std::vector<std::int32_t> starts;
  for (std::int32_t at = 0; at < tokens; at += document) starts.push_back(at);
  starts.push_back(tokens);
  const std::vector<float> q = normal(t * heads * dims, 1), kv = normal(t * heads * 128, 1),
                           rotary = normal(t * shared, 1), dout = normal(t * heads * values, 1);
  std::vector<float> out(dout.size()), lse(t * heads), dq(q.size()), dkv(kv.size()),
      dshared(rotary.size());
  const FreshAttention a{.q = q.data(),
                         .k = kv.data(),
                         .v = kv.data() + 64,
                         .shared_key = rotary.data(),
                         .k_stride = heads * 128,
                         .k_head = 128,
                         .v_stride = heads * 128,
                         .v_head = 128,
                         .query_heads = heads,
                         .kv_heads = heads,
                         .key_dims = dims,
                         .value_dims = values,
                         .shared_dims = shared,
                         .scale = 0.1f,
                         .starts = starts};
  double pairs = 0;
  for (std::size_t s = 0; s + 1 < starts.size(); ++s) {
    const double n = static_cast<double>(starts[s + 1] - starts[s]);
    pairs += n * (n + 1) / 2;
  }
  const double multiplies = 2e-9 * pairs * heads;
  const double plain = multiplies * (dims + values) /
                       best(backend, [&] { backend.attend_fresh(a, out.data(), lse.data()); });
  const double gradient = multiplies * (3 * dims + 2 * values) / best(backend, [&] {
                            backend.gradients().attend_fresh_gradient(
                                a, out.data(), lse.data(), dout.data(),
                                {dq.data(), dkv.data(), dkv.data() + 64, dshared.data()});
                          });
  fmt::print("attention, {} tokens in documents of {:<5} {:8.1f} {:8.1f} {:5.0f} %\n", tokens,
             document, plain, gradient, 100 * gradient / plain);
}

void run(int threads) {
  const Isa isa = cpu_features().best();
  const auto backend = make_cpu_backend({isa, threads, {}});
  fmt::print(
      "{}\n{:>5}   {:<5} rows            class    forward  d input         d weight   (GFLOP/s)\n",
      backend->describe(), "out", "in");
  for (const ComputeClass compute : {ComputeClass::bf16, ComputeClass::f32, ComputeClass::fp8dyn}) {
    for (const Shape& shape : kShapes) products(*backend, shape, compute);
  }
  attention(*backend, 4096, 4096);
  attention(*backend, 4096, 512);
  attention(*backend, 4100, 20);
}

}  // namespace
}  // namespace nautile

int main(int argc, char** argv) {
  nautile::run(argc > 1 ? std::atoi(argv[1]) : nautile::available_cores());
  return 0;
}
