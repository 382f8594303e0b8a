// Gradients of row operations against formulas and finite differences in double; sums that do not
// depend on the threads.
#include "backend/cpu_gradients.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>

#include "backend/backend_testing.h"

namespace nautile {
namespace {

using namespace testing_tools;

using Values = std::vector<float>;
using Function = std::function<double(const std::vector<double>&)>;

double wide(float x) {
  return static_cast<double>(x);
}

// Central differences of a function in double: good to about 1e-8 of its size.
std::vector<double> differences(const Values& at, const Function& f) {
  std::vector<double> x(at.begin(), at.end()), d;
  for (double& value : x) {
    const double keep = value, h = 1e-5;
    value = keep + h;
    const double up = f(x);
    value = keep - h;
    const double down = f(x);
    value = keep;
    d.push_back((up - down) / (2 * h));
  }
  return d;
}

void expect_near(const Values& found, const std::vector<double>& wanted, double slack = 1e-5) {
  ASSERT_EQ(found.size(), wanted.size());
  for (std::size_t i = 0; i < found.size(); ++i)
    ASSERT_NEAR(found[i], wanted[i], slack * (1 + std::abs(wanted[i]))) << i;
}

Tensor tensor(Values& values, std::int64_t rows) {
  return {values.data(), {rows, static_cast<std::int64_t>(values.size()) / rows}};
}

// Runs body(backend, results) on every table, with 1 to 4 threads that must give the same bits.
void on_every_table(const std::function<std::vector<Values>(CpuBackend&)>& body,
                    const std::function<void(const std::vector<Values>&)>& check) {
  for (const Table& table : tables()) {
    SCOPED_TRACE(table.name);
    CpuBackend one = table.backend(1);
    const std::vector<Values> alone = body(one);
    check(alone);
    for (int threads : {2, 3, 4}) {
      CpuBackend many = table.backend(threads);
      ASSERT_EQ(body(many), alone) << threads << " threads";
    }
  }
}

TEST(Gradients, RmsNorm) {
  const std::int64_t rows = 150, n = 37;
  Values x = normal(rows * n, 1), gain = normal(n, 2), dy = normal(rows * n, 3),
         before = normal(n, 4);
  const auto loss = [&](const std::vector<double>& input, const std::vector<double>& g) {
    double sum = 0;
    for (std::size_t t = 0; t < rows; ++t) {
      double squares = 0;
      for (std::size_t i = 0; i < n; ++i) squares += input[t * n + i] * input[t * n + i];
      const double r = 1 / std::sqrt(squares / n + 1e-5);
      for (std::size_t i = 0; i < n; ++i) sum += wide(dy[t * n + i]) * input[t * n + i] * r * g[i];
    }
    return sum;
  };
  const std::vector<double> x_wide(x.begin(), x.end()), gain_wide(gain.begin(), gain.end());
  const auto dx = differences(x, [&](const auto& v) { return loss(v, gain_wide); });
  auto dgain = differences(gain, [&](const auto& v) { return loss(x_wide, v); });
  for (std::size_t i = 0; i < n; ++i) dgain[i] += wide(before[i]);
  on_every_table(
      [&](CpuBackend& backend) {
        Values out(x.size()), sum = before, in_place = dy;
        backend.gradients().rms_norm_gradient(tensor(x, rows), gain.data(), 1e-5f, tensor(dy, rows),
                                              tensor(out, rows), sum.data());
        backend.gradients().rms_norm_gradient(tensor(x, rows), gain.data(), 1e-5f,
                                              tensor(in_place, rows), tensor(in_place, rows),
                                              nullptr);
        EXPECT_EQ(in_place, out);
        return std::vector<Values>{out, sum};
      },
      [&](const std::vector<Values>& r) {
        expect_near(r[0], dx);
        expect_near(r[1], dgain);
      });
}

TEST(Gradients, SiluMul) {
  const std::int64_t rows = 9, n = 41;
  Values gate = normal(rows * n, 1, 3), up = normal(rows * n, 2), dy = normal(rows * n, 3);
  const auto loss = [&](const std::vector<double>& g, const std::vector<double>& u) {
    double sum = 0;
    for (std::size_t i = 0; i < g.size(); ++i)
      sum += wide(dy[i]) * g[i] / (1 + std::exp(-g[i])) * u[i];
    return sum;
  };
  const std::vector<double> gate_wide(gate.begin(), gate.end()), up_wide(up.begin(), up.end());
  const auto dgate = differences(gate, [&](const auto& v) { return loss(v, up_wide); });
  const auto dup = differences(up, [&](const auto& v) { return loss(gate_wide, v); });
  on_every_table(
      [&](CpuBackend& backend) {
        Values a(gate.size()), b(gate.size());
        backend.gradients().silu_mul_gradient(tensor(gate, rows), tensor(up, rows),
                                              tensor(dy, rows), tensor(a, rows), tensor(b, rows));
        return std::vector<Values>{a, b};
      },
      [&](const std::vector<Values>& r) {
        expect_near(r[0], dgate);
        expect_near(r[1], dup);
      });
}

TEST(Gradients, RopeTurnsBack) {
  const std::int64_t rows = 50, heads = 3, half = 5, positions_known = 60;
  const std::size_t head = 2 * half + 1, row = heads * head;
  const Values angles = normal(positions_known * half, 1), x = normal(rows * row, 2);
  Values cos, sin;
  for (const float angle : angles) {
    cos.push_back(std::cos(angle));
    sin.push_back(std::sin(angle));
  }
  std::vector<std::int32_t> positions(rows);
  for (std::size_t i = 0; i < positions.size(); ++i)
    positions[i] = static_cast<std::int32_t>(i * 7 % positions_known);
  for (const auto order : {Backend::RopeOrder::pairs, Backend::RopeOrder::halves}) {
    on_every_table(
        [&](CpuBackend& backend) {
          Values y = x;
          backend.rope(y.data(), row, head, heads, positions, cos.data(), sin.data(), half, order);
          backend.gradients().rope_gradient(y.data(), row, head, heads, positions, cos.data(),
                                            sin.data(), half, order);
          return std::vector<Values>{y};
        },
        // A rotation's transpose is its inverse; cos² + sin² is 1 to 2^-23.
        [&](const std::vector<Values>& r) {
          expect_near(r[0], std::vector<double>(x.begin(), x.end()), 1e-6);
        });
  }
}

TEST(Gradients, Route) {
  const int experts = 7, chosen = 3;
  const std::int64_t rows = 20;
  Values scores = normal(rows * experts, 1), dweights = normal(rows * chosen, 2);
  for (const auto kind : {RouteRule::Score::softmax, RouteRule::Score::sigmoid}) {
    for (const auto normalize : {RouteRule::Normalize::no, RouteRule::Normalize::yes}) {
      const RouteRule rule{.score = kind,
                           .normalize = normalize,
                           .experts = experts,
                           .chosen = chosen,
                           .scale = 2.5f};
      std::vector<std::int32_t> choice(static_cast<std::size_t>(rows * chosen));
      Values weights(choice.size());
      CpuBackend plain({Isa::reference, 1, {}});
      plain.route(tensor(scores, rows), nullptr, rule, choice.data(), weights.data());
      const auto loss = [&](const std::vector<double>& s) {
        double total = 0;
        for (std::size_t t = 0; t < rows; ++t) {
          std::vector<double> p;
          double all = 0, some = 0;
          for (std::size_t e = 0; e < experts; ++e) {
            const double x = s[t * experts + e];
            p.push_back(kind == RouteRule::Score::sigmoid ? 1 / (1 + std::exp(-x)) : std::exp(x));
            all += p.back();
          }
          for (std::size_t k = 0; k < chosen; ++k) {
            double& score = p[static_cast<std::size_t>(choice[t * chosen + k])];
            if (kind == RouteRule::Score::softmax) score /= all;
            some += score;
          }
          for (std::size_t k = 0; k < chosen; ++k) {
            const double score = p[static_cast<std::size_t>(choice[t * chosen + k])];
            total += wide(dweights[t * chosen + k]) * 2.5 * score /
                     (normalize == RouteRule::Normalize::yes ? some : 1);
          }
        }
        return total;
      };
      const auto wanted = differences(scores, loss);
      on_every_table(
          [&](CpuBackend& backend) {
            Values d(scores.size());
            backend.gradients().route_gradient(tensor(scores, rows), rule, choice.data(),
                                               weights.data(), dweights.data(), tensor(d, rows));
            return std::vector<Values>{d};
          },
          [&](const std::vector<Values>& r) { expect_near(r[0], wanted); });
    }
  }
}

TEST(Gradients, DispatchAndCombine) {
  const std::int64_t tokens = 60, width = 70;
  const int chosen = 3;
  Values rows = normal(tokens * chosen * width, 1), weights = normal(tokens * chosen, 2),
         dout = normal(tokens * width, 3);
  std::vector<std::int32_t> slot(weights.size());
  for (std::size_t i = 0; i < slot.size(); ++i)
    slot[i] = static_cast<std::int32_t>(i * 11 % slot.size());
  std::vector<double> drows(rows.size()), dweights(weights.size()), dx(dout.size());
  for (std::size_t i = 0; i < slot.size(); ++i) {
    const std::size_t to = static_cast<std::size_t>(slot[i]);
    for (std::size_t c = 0; c < width; ++c) {
      const std::size_t at = i / chosen * width + c;
      drows[to * width + c] = wide(weights[i]) * wide(dout[at]);
      dweights[i] += wide(rows[to * width + c]) * wide(dout[at]);
      dx[at] += wide(rows[to * width + c]);
    }
  }
  on_every_table(
      [&](CpuBackend& backend) {
        Values a(rows.size()), b(weights.size()), x(dout.size());
        GradientBackend& gradients = backend.gradients();
        gradients.combine_gradient(tensor(rows, tokens * chosen), slot.data(), weights.data(),
                                   chosen, tensor(dout, tokens), tensor(a, tokens * chosen),
                                   b.data());
        gradients.dispatch_gradient(tensor(rows, tokens * chosen), slot.data(), chosen,
                                    tensor(x, tokens));
        return std::vector<Values>{a, b, x};
      },
      [&](const std::vector<Values>& r) {
        expect_near(r[0], drows);
        expect_near(r[1], dweights);
        expect_near(r[2], dx);
      });
}

TEST(Gradients, EmbeddingAndBias) {
  const std::int64_t tokens = 300, width = 150, words = 11;
  Values dy = normal(tokens * width, 1), table = normal(words * width, 2), bias = normal(width, 3);
  std::vector<std::int32_t> ids(tokens);
  for (std::size_t i = 0; i < ids.size(); ++i) ids[i] = static_cast<std::int32_t>(i * i % words);
  std::vector<double> dtable(table.begin(), table.end()), dbias(bias.begin(), bias.end());
  for (std::size_t i = 0; i < dy.size(); ++i) {
    dtable[static_cast<std::size_t>(ids[i / width]) * width + i % width] += wide(dy[i]);
    dbias[i % width] += wide(dy[i]);
  }
  on_every_table(
      [&](CpuBackend& backend) {
        Values a = table, b = bias;
        backend.gradients().embed_gradient(tensor(dy, tokens), ids, a.data());
        backend.gradients().bias_gradient(tensor(dy, tokens), b.data());
        return std::vector<Values>{a, b};
      },
      [&](const std::vector<Values>& r) {
        expect_near(r[0], dtable);
        expect_near(r[1], dbias);
      });
}

TEST(Gradients, LogProb) {
  const std::int64_t rows = 30;
  for (const std::int64_t words : {1, 15, 16, 1037}) {
    Values logits = normal(static_cast<std::size_t>(rows * words), 1, 5);
    const Values scale = normal(rows, 2);
    std::vector<std::int32_t> targets(rows);
    for (int i = 0; i < rows; ++i) {
      targets[static_cast<std::size_t>(i)] = i % 4 == 3 ? -1 : i * 31 % static_cast<int>(words);
    }
    std::vector<double> lse, d;
    for (std::size_t i = 0; i < rows; ++i) {
      double sum = 0;
      const float* row = logits.data() + i * static_cast<std::size_t>(words);
      for (std::int64_t j = 0; j < words; ++j) sum += std::exp(wide(row[j]));
      lse.push_back(std::log(sum));
      for (std::int64_t j = 0; j < words; ++j)
        d.push_back(wide(scale[i]) * (std::exp(wide(row[j])) / sum - (targets[i] == j ? 1 : 0)));
    }
    on_every_table(
        [&](CpuBackend& backend) {
          Values x = logits, found(rows);
          backend.log_sum_exp(tensor(logits, rows), found.data());
          backend.gradients().log_prob_gradient(tensor(x, rows), targets, found.data(),
                                                scale.data());
          return std::vector<Values>{found, x};
        },
        [&](const std::vector<Values>& r) {
          expect_near(r[0], lse, 1e-6);
          expect_near(r[1], d);
        });
  }
}

TEST(Optimizer, AdamWStepsAsPyTorchDoes) {
  const std::size_t n = 100'003;
  const Values w0 = normal(n, 1);
  for (const bool narrow : {false, true}) {
    std::vector<double> w(w0.begin(), w0.end()), m(n), v(n);
    std::vector<Values> gradients;
    for (int t = 1; t <= 3; ++t) {
      gradients.push_back(normal(n, static_cast<unsigned>(t + 1), 0.01f));
      for (std::size_t i = 0; i < n; ++i) {
        const double g = wide(gradients.back()[i]) * 0.5;
        m[i] = 0.9 * m[i] + 0.1 * g;
        v[i] = 0.95 * v[i] + 0.05 * g * g;
        w[i] -= 1e-2 * 0.1 * w[i];
        w[i] -= 1e-2 * (m[i] / (1 - std::pow(0.9, t))) /
                (std::sqrt(v[i] / (1 - std::pow(0.95, t))) + 1e-8);
        if (!narrow) continue;
        m[i] = wide(to_float(to_bf16(static_cast<float>(m[i]))));
        v[i] = wide(to_float(to_bf16(static_cast<float>(v[i]))));
      }
    }
    on_every_table(
        [&](CpuBackend& backend) {
          Values x = w0, first(n), second(n);
          std::vector<bf16> first16(n), second16(n);
          for (int t = 1; t <= 3; ++t) {
            const AdamWStep step{.rate = 1e-2f,
                                 .beta1 = 0.9f,
                                 .beta2 = 0.95f,
                                 .epsilon = 1e-8f,
                                 .decay = 0.1f,
                                 .grad_scale = 0.5f,
                                 .correction1 = static_cast<float>(1 - std::pow(0.9, t)),
                                 .correction2 = static_cast<float>(1 - std::pow(0.95, t))};
            const float* g = gradients[static_cast<std::size_t>(t - 1)].data();
            const std::int64_t count = static_cast<std::int64_t>(n);
            if (narrow) {
              backend.gradients().adamw(step, count, g, x.data(), first16.data(), second16.data());
            } else {
              backend.gradients().adamw(step, count, g, x.data(), first.data(), second.data());
            }
          }
          return std::vector<Values>{x};
        },
        // BF16: a moment that lies between two values may round the other way, by 2^-8 of a step.
        [&](const std::vector<Values>& r) { expect_near(r[0], w, narrow ? 2e-4 : 1e-6); });
  }
}

TEST(Optimizer, SumsAndBlends) {
  const std::size_t n = 200'001;
  const Values x = normal(n, 1), y0 = normal(n, 2);
  double squares = 0;
  std::vector<double> sum, mix;
  for (std::size_t i = 0; i < n; ++i) {
    squares += wide(x[i]) * wide(x[i]);
    sum.push_back(wide(y0[i]) + wide(x[i]));
    mix.push_back(0.25 * wide(x[i]) + 0.75 * wide(y0[i]));
  }
  on_every_table(
      [&](CpuBackend& backend) {
        Values a = y0, b = y0;
        const std::int64_t count = static_cast<std::int64_t>(n);
        backend.gradients().accumulate(x.data(), count, a.data());
        backend.gradients().blend(0.25f, x.data(), 0.75f, count, b.data());
        const double total = backend.gradients().sum_of_squares(x.data(), count);
        EXPECT_NEAR(total, squares, squares * 1e-13);
        return std::vector<Values>{a, b, {static_cast<float>(total)}};
      },
      [&](const std::vector<Values>& r) {
        expect_near(r[0], sum, 1e-6);
        expect_near(r[1], mix, 1e-6);
      });
}

}  // namespace
}  // namespace nautile
