// Parity of every table's gradient kernels, turning and E4M3 packing with the reference.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <random>
#include <vector>

#include "base/cpu_features.h"
#include "base/f8.h"
#include "kernels/kernels.h"

namespace nautile::kernels {
namespace {

using Values = std::vector<float>;

class GradientTable : public ::testing::TestWithParam<int> {
 protected:
  void SetUp() override {
    if (!cpu_features().can(static_cast<Isa>(GetParam())))
      GTEST_SKIP() << "this CPU has no such table";
  }
  const Kernels& found() const { return table(static_cast<Isa>(GetParam())); }
  static const Kernels& wanted() { return table(Isa::reference); }

  Values normal(int n, float scale = 1) {
    std::normal_distribution<float> draw(0, scale);
    Values values(static_cast<std::size_t>(n));
    for (float& value : values) value = draw(random_);
    return values;
  }

 private:
  std::mt19937 random_{11};
};

INSTANTIATE_TEST_SUITE_P(Tables, GradientTable, ::testing::Range(0, kIsaCount), [](const auto& p) {
  return std::string(name(static_cast<Isa>(p.param)));
});

// Lengths around a register, and a few of them; 200 leaves tails in unrolled loops.
constexpr int kLengths[] = {1, 7, 8, 9, 15, 16, 17, 31, 64, 200, 1037};

// Exponentials differ by 2 ulp, sums of up to 1,037 terms by their order.
void expect_near(const Values& a, const Values& b, float slack = 4e-6f) {
  ASSERT_EQ(a.size(), b.size());
  for (std::size_t i = 0; i < a.size(); ++i)
    ASSERT_NEAR(a[i], b[i], slack * (1 + std::abs(b[i]))) << i;
}

TEST_P(GradientTable, RmsNorm) {
  for (const int n : kLengths) {
    const Values x = normal(n), gain = normal(n), dy = normal(n), start = normal(n);
    const auto run = [&](const Kernels& k, bool with_gain) {
      Values dx(x.size()), dgain = start;
      k.gradients.rms_norm(x.data(), gain.data(), n, 1e-6f, dy.data(), dx.data(),
                           with_gain ? dgain.data() : nullptr);
      dx.insert(dx.end(), dgain.begin(), dgain.end());
      return dx;
    };
    expect_near(run(found(), true), run(wanted(), true), 2e-5f);
    expect_near(run(found(), false), run(wanted(), false), 2e-5f);
  }
}

TEST_P(GradientTable, SiluMul) {
  for (const int n : kLengths) {
    const Values gate = normal(n, 8), up = normal(n), dy = normal(n);
    const auto run = [&](const Kernels& k) {
      Values d(2 * gate.size());
      k.gradients.silu_mul(gate.data(), up.data(), dy.data(), n, d.data(), d.data() + n);
      return d;
    };
    expect_near(run(found()), run(wanted()));
  }
}

TEST_P(GradientTable, SoftmaxBlock) {
  const int m = 66;
  const Values scores = normal(m * kKeyBlock, 3), dp = normal(m * kKeyBlock), delta = normal(m);
  std::vector<int> valid;
  Values lse;
  for (int i = 0; i < m; ++i) {
    valid.push_back(std::min(i, kKeyBlock));
    lse.push_back(4.0f + static_cast<float>(i % 3));
  }
  const auto run = [&](const Kernels& k) {
    Values s = scores, d = dp;
    k.gradients.softmax_block(s.data(), d.data(), kKeyBlock, m, valid.data(), 0.5f, lse.data(),
                              delta.data());
    s.insert(s.end(), d.begin(), d.end());
    return s;
  };
  expect_near(run(found()), run(wanted()));
}

TEST_P(GradientTable, SumsAndScales) {
  for (const int n : kLengths) {
    const Values a = normal(n, 3), b = normal(n);
    const auto run = [&](const Kernels& k) {
      float top;
      const float sum = k.gradients.sum_exp(a.data(), n, &top);
      Values all{top, sum / static_cast<float>(n), k.gradients.dot(a.data(), b.data(), n) / 32};
      Values scaled(b.size()), blended = b, probabilities = a;
      k.gradients.scale(a.data(), -0.3f, n, scaled.data());
      k.gradients.blend(0.1f, a.data(), 0.9f, n, blended.data());
      k.gradients.log_prob(probabilities.data(), n, 8.0f, 0.5f);
      for (const Values& row : {scaled, blended, probabilities})
        all.insert(all.end(), row.begin(), row.end());
      return all;
    };
    expect_near(run(found()), run(wanted()));
    const double squares = wanted().gradients.sum_of_squares(a.data(), n);
    EXPECT_NEAR(found().gradients.sum_of_squares(a.data(), n), squares, squares * 1e-14);
  }
}

TEST_P(GradientTable, RowsAreAddedInOrder) {
  const std::size_t stride = 1040;
  for (const int n : kLengths) {
    const Values x = normal(70 * static_cast<int>(stride)), start = normal(n);
    for (const int rows : {0, 1, 64, 70}) {
      Values a = start, b = start;
      found().gradients.add_rows(x.data(), stride, rows, n, a.data());
      wanted().gradients.add_rows(x.data(), stride, rows, n, b.data());
      ASSERT_EQ(a, b) << n << " columns of " << rows;
    }
  }
}

TEST_P(GradientTable, AdamWGivesTheSameBits) {
  const AdamWFactors f{0.5f, 0.9f, 0.1f, 0.95f, 0.05f, 0.999f, 1e-2f, 4.5f, 1e-8f};
  for (const int n : kLengths) {
    const Values g = normal(n), w = normal(n), m = normal(n), v0 = normal(n);
    Values v;
    std::vector<bf16> m16, v16;
    for (std::size_t i = 0; i < v0.size(); ++i) {
      v.push_back(std::abs(v0[i]));
      m16.push_back(to_bf16(m[i]));
      v16.push_back(to_bf16(v[i]));
    }
    const auto run = [&](const Kernels& k) {
      Values all[3] = {w, m, v};
      k.gradients.adamw(f, g.data(), n, all[0].data(), all[1].data(), all[2].data());
      std::vector<bf16> first = m16, second = v16;
      Values narrow = w;
      k.gradients.adamw_bf16(f, g.data(), n, narrow.data(), first.data(), second.data());
      for (std::size_t i = 0; i < narrow.size(); ++i) {
        all[0].push_back(narrow[i]);
        all[1].push_back(to_float(first[i]));
        all[2].push_back(to_float(second[i]));
      }
      for (int i : {1, 2}) all[0].insert(all[0].end(), all[i].begin(), all[i].end());
      return all[0];
    };
    ASSERT_EQ(run(found()), run(wanted())) << n;
  }
}

TEST_P(GradientTable, Transpose) {
  const std::size_t stride = 150, to = 140;
  const Values x = normal(140 * 150);
  for (const int rows : {1, 7, 16, 33, 128, 140}) {
    for (const int columns : {1, 8, 15, 64, 100, 150}) {
      Values a(to * 150, -1), b = a;
      found().panels.transpose(x.data(), stride, rows, columns, a.data(), to);
      wanted().panels.transpose(x.data(), stride, rows, columns, b.data(), to);
      ASSERT_EQ(a, b) << rows << " x " << columns;
      ASSERT_EQ(
          a[static_cast<std::size_t>(columns - 1) * to + static_cast<std::size_t>(rows - 1)],
          x[static_cast<std::size_t>(rows - 1) * stride + static_cast<std::size_t>(columns - 1)]);
    }
  }
}

// Every value that E4M3 has, all ties between two of them and their neighbours, and odd counts.
TEST_P(GradientTable, PackF8GivesTheSameBits) {
  Values x{448.0f};
  for (int bits = 0; bits < 127; ++bits) {
    const float low = f8_e4m3_to_float(static_cast<std::uint8_t>(bits)),
                high = bits < 126 ? f8_e4m3_to_float(static_cast<std::uint8_t>(bits + 1)) : low;
    const float tie = (low + high) / 2;
    for (const float value : {low, tie, std::nextafter(tie, 0.0f), std::nextafter(tie, 1e9f)}) {
      x.push_back(value);
      x.push_back(-value);
    }
  }
  for (std::size_t i = 0; i < x.size(); i += 128) x[i] = 448.0f;  // every scale is 1
  const Values plain = normal(301, 5);
  x.insert(x.end(), plain.begin(), plain.end());
  for (const int count : {1, 2, 127, 128, 129, 1000, static_cast<int>(x.size())}) {
    for (const auto& [style, least] : {std::pair{F8Scale::any, kF8LeastInput},
                                       {F8Scale::power_of_two, kF8LeastGradient},
                                       {F8Scale::any, 1000.0f}}) {
      const auto run = [&](const Kernels& k) {
        std::vector<bf16> q(x.size() + 1);
        Values scale(x.size() / 128 + 1);
        k.panels.pack_f8(x.data(), count, style, least, q.data(), scale.data());
        std::vector<std::uint32_t> bits;
        bits.reserve(q.size() + scale.size());
        for (const bf16 value : q) bits.push_back(value.bits);
        for (const float value : scale) {
          std::uint32_t word;
          std::memcpy(&word, &value, 4);
          bits.push_back(word);
        }
        return bits;
      };
      ASSERT_EQ(run(found()), run(wanted())) << count;
    }
  }
}

}  // namespace
}  // namespace nautile::kernels
