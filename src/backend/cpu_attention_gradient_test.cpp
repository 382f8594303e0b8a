// Attention within a batch: the bits of attend(), and gradients against the formula in double.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "backend/backend_testing.h"

namespace nautile {
namespace {

using namespace testing_tools;

struct Case {
  const char* what;
  int query_heads, kv_heads, key_dims, value_dims, shared_dims;
  std::vector<std::int32_t> starts;
};

const Case kCases[] = {
    {"one head", 1, 1, 16, 16, 0, {0, 70}},
    {"grouped", 6, 2, 40, 24, 0, {0, 1, 1, 66, 200}},
    {"one key head for all", 4, 1, 33, 17, 0, {0, 130}},
    {"shared rotary keys", 3, 3, 48, 20, 16, {0, 64, 192, 212}},
    {"short documents", 2, 2, 24, 24, 8, {0, 20, 40, 61, 80, 81, 100}},
};

// Random operands; k and v of a token lie in one row, as MLA's up-projection makes them.
struct Operands {
  explicit Operands(const Case& c)
      : tokens(static_cast<std::size_t>(c.starts.back())),
        own(static_cast<std::size_t>(c.key_dims - c.shared_dims)),
        head(own + static_cast<std::size_t>(c.value_dims)),
        q(normal(tokens * static_cast<std::size_t>(c.query_heads * c.key_dims), 1)),
        kv(normal(tokens * head * static_cast<std::size_t>(c.kv_heads), 2)),
        shared(normal(tokens * static_cast<std::size_t>(c.shared_dims), 3)),
        dout(normal(tokens * static_cast<std::size_t>(c.query_heads * c.value_dims), 4)) {
    a = {.q = q.data(),
         .k = kv.data(),
         .v = kv.data() + own,
         .shared_key = c.shared_dims ? shared.data() : nullptr,
         .k_stride = head * static_cast<std::size_t>(c.kv_heads),
         .k_head = head,
         .v_stride = head * static_cast<std::size_t>(c.kv_heads),
         .v_head = head,
         .query_heads = c.query_heads,
         .kv_heads = c.kv_heads,
         .key_dims = c.key_dims,
         .value_dims = c.value_dims,
         .shared_dims = c.shared_dims,
         .scale = 0.25f,
         .starts = c.starts};
  }
  std::size_t tokens, own, head;
  std::vector<float> q, kv, shared, dout;
  FreshAttention a;
};

struct Results {
  std::vector<float> out, lse, dq, dkv, dshared;
  bool operator==(const Results&) const = default;
};

Results run(const Operands& o, CpuBackend& backend) {
  Results r;
  r.out.assign(o.dout.size(), NAN);
  r.lse.assign(o.tokens * static_cast<std::size_t>(o.a.query_heads), NAN);
  r.dq.assign(o.q.size(), NAN);
  r.dkv.assign(o.kv.size(), NAN);
  r.dshared.assign(o.shared.size(), NAN);
  backend.attend_fresh(o.a, r.out.data(), r.lse.data());
  backend.gradients().attend_fresh_gradient(
      o.a, r.out.data(), r.lse.data(), o.dout.data(),
      {r.dq.data(), r.dkv.data(), r.dkv.data() + o.own, r.dshared.data()});
  return r;
}

// The formula. Sizes are of the magnitudes that enter a sum.
struct Exact {
  std::vector<double> out, lse, dq, dkv, dshared;
};

struct Row {
  const float *own, *shared;
  std::size_t n, shared_n;
  double at(std::size_t i) const { return static_cast<double>(i < n ? own[i] : shared[i - n]); }
};

void add_query(const Operands& o, std::size_t first, std::size_t t, std::size_t h, Exact& e) {
  const FreshAttention& a = o.a;
  const std::size_t d = static_cast<std::size_t>(a.key_dims),
                    v = static_cast<std::size_t>(a.value_dims),
                    r = static_cast<std::size_t>(a.shared_dims),
                    heads = static_cast<std::size_t>(a.query_heads),
                    kv = h / (heads / static_cast<std::size_t>(a.kv_heads));
  const std::size_t query = t * heads + h;
  const auto key = [&](std::size_t j) {
    return Row{a.k + j * a.k_stride + kv * a.k_head, a.shared_key + j * r, d - r, r};
  };
  const double scale = static_cast<double>(a.scale);
  std::vector<double> p;
  double sum = 0, delta = 0;
  for (std::size_t j = first; j <= t; ++j) {
    double s = 0;
    for (std::size_t i = 0; i < d; ++i) s += static_cast<double>(a.q[query * d + i]) * key(j).at(i);
    p.push_back(std::exp(scale * s));
    sum += p.back();
  }
  e.lse[query] = std::log(sum);
  std::vector<double> dp;
  for (std::size_t j = first; j <= t; ++j) {
    double& weight = p[j - first];
    weight /= sum;
    dp.push_back(0);
    for (std::size_t c = 0; c < v; ++c) {
      const double value = static_cast<double>(a.v[j * a.v_stride + kv * a.v_head + c]),
                   dout = static_cast<double>(o.dout[query * v + c]);
      e.out[query * v + c] += weight * value;
      e.dkv[j * a.v_stride + kv * a.v_head + o.own + c] += weight * dout;
      dp.back() += dout * value;
    }
    delta += weight * dp.back();
  }
  for (std::size_t j = first; j <= t; ++j) {
    const double ds = p[j - first] * (dp[j - first] - delta) * scale;
    for (std::size_t i = 0; i < d; ++i) {
      e.dq[query * d + i] += ds * key(j).at(i);
      double& dk =
          i < d - r ? e.dkv[j * a.k_stride + kv * a.k_head + i] : e.dshared[j * r + i - (d - r)];
      dk += ds * static_cast<double>(a.q[query * d + i]);
    }
  }
}

Exact exact(const Operands& o) {
  Exact e{std::vector<double>(o.dout.size()),
          std::vector<double>(o.tokens * static_cast<std::size_t>(o.a.query_heads)),
          std::vector<double>(o.q.size()), std::vector<double>(o.kv.size()),
          std::vector<double>(o.shared.size())};
  for (std::size_t s = 0; s + 1 < o.a.starts.size(); ++s) {
    for (std::int32_t t = o.a.starts[s]; t < o.a.starts[s + 1]; ++t) {
      for (int h = 0; h < o.a.query_heads; ++h)
        add_query(o, static_cast<std::size_t>(o.a.starts[s]), static_cast<std::size_t>(t),
                  static_cast<std::size_t>(h), e);
    }
  }
  return e;
}

// Scores are sums of up to 48 products of size 1, so exp(s) carries about 1e-5; sums of up to 200
// queries' terms keep that.
void expect_near(const std::vector<float>& found, const std::vector<double>& wanted,
                 const char* what) {
  ASSERT_EQ(found.size(), wanted.size());
  for (std::size_t i = 0; i < found.size(); ++i)
    ASSERT_NEAR(found[i], wanted[i], 2e-5 * (1 + std::abs(wanted[i]))) << what << " " << i;
}

TEST(AttendFresh, AndItsGradientEqualTheFormulaOnAnyThreads) {
  for (const Case& c : kCases) {
    const Operands o(c);
    const Exact wanted = exact(o);
    for (const Table& table : tables()) {
      SCOPED_TRACE(fmt::format("{} {}", c.what, table.name));
      CpuBackend one = table.backend(1);
      const Results r = run(o, one);
      expect_near(r.out, wanted.out, "out");
      expect_near(r.lse, wanted.lse, "lse");
      expect_near(r.dq, wanted.dq, "dq");
      expect_near(r.dkv, wanted.dkv, "dkv");
      expect_near(r.dshared, wanted.dshared, "dshared");
      for (int threads : {2, 3, 4}) {
        CpuBackend many = table.backend(threads);
        ASSERT_EQ(run(o, many), r) << threads << " threads";
      }
    }
  }
}

// Widths that fill tiles: documents that do not fill a block, several query heads to a key head,
// more panels than one product takes, shared keys.
const Case kTiledCases[] = {
    {"one head", 1, 1, 16, 16, 0, {0, 70}},
    {"grouped", 6, 2, 48, 32, 0, {0, 1, 1, 66, 200}},
    {"shared rotary keys", 3, 3, 96, 80, 32, {0, 64, 192, 212}},
    {"short documents", 2, 2, 32, 16, 16, {0, 20, 40, 61, 80, 81, 100}},
};

// |found − wanted| / |wanted|
double distance(const std::vector<float>& found, const std::vector<double>& wanted) {
  double off = 0, size = 0;
  for (std::size_t i = 0; i < found.size(); ++i) {
    const double error = static_cast<double>(found[i]) - wanted[i];
    off += error * error;
    size += wanted[i] * wanted[i];
  }
  return std::sqrt(off / std::max(size, 1e-300));
}

// Every operand is rounded to 8 bits (2^-9 at most, half of that on average); a gradient is off by
// a few such roundings.
TEST(AttendFresh, GradientsInClassBf16AreNearAndTheSameOnAnyThreads) {
  int tried = 0;
  for (const Table& table : tables()) {
    if (!table.kernels->panels.bf16_tiles) continue;
    ++tried;
    for (const Case& c : kTiledCases) {
      SCOPED_TRACE(fmt::format("{} {}", c.what, table.name));
      const Operands o(c);
      const Exact wanted = exact(o);
      const auto results = [&](int threads, ComputeClass compute) {
        CpuBackend backend({table.kernels->isa, threads, compute}, *table.kernels);
        return run(o, backend);
      };
      const Results r = results(1, ComputeClass::bf16), wide = results(1, ComputeClass::f32);
      EXPECT_EQ(r.out, wide.out);
      for (const auto& [found, exact] : {std::pair{&r.dq, &wanted.dq}, {&r.dkv, &wanted.dkv}}) {
        EXPECT_LT(distance(*found, *exact), 0.01);
        EXPECT_GT(distance(*found, *exact), 1e-4) << "nothing was rounded";
      }
      if (c.shared_dims > 0) {
        EXPECT_LT(distance(r.dshared, wanted.dshared), 0.01);
      }
      for (int threads : {2, 3, 4})
        EXPECT_EQ(results(threads, ComputeClass::bf16), r) << threads << " threads";
    }
  }
  if (tried == 0)
    GTEST_SKIP() << "this CPU has no AVX-512 with BF16, which tiles are emulated with";
}

TEST(AttendFresh, GivesTheBitsOfAttend) {
  for (const Case& c : kCases) {
    const Operands o(c);
    // The same keys and values in pages, the shared part at the end of every key.
    const std::size_t d = static_cast<std::size_t>(c.key_dims),
                      kv = static_cast<std::size_t>(c.kv_heads),
                      v = static_cast<std::size_t>(c.value_dims), row = kv * (d + v);
    std::vector<float> cache(o.tokens * row);
    for (std::size_t t = 0; t < o.tokens; ++t) {
      for (std::size_t h = 0; h < kv; ++h) {
        float* key = cache.data() + t * row + h * d;
        std::memcpy(key, o.kv.data() + (t * kv + h) * o.head, o.own * sizeof(float));
        std::copy_n(o.shared.data() + t * (d - o.own), d - o.own, key + o.own);
        std::memcpy(cache.data() + t * row + kv * d + h * v,
                    o.kv.data() + (t * kv + h) * o.head + o.own, v * sizeof(float));
      }
    }
    const AttendShape shape{c.query_heads, c.kv_heads, c.key_dims, c.value_dims, Format::f32,
                            Format::f32,   d * 4,      v * 4,      0.25f};
    std::vector<const std::byte*> pages;
    for (std::size_t s = 0; s + 1 < c.starts.size(); ++s)
      pages.push_back(reinterpret_cast<const std::byte*>(
          cache.data() + static_cast<std::size_t>(c.starts[s]) * row));
    std::vector<QuerySpan> spans;
    for (std::size_t s = 0; s + 1 < c.starts.size(); ++s) {
      const KvRows keys{&pages[s], 1 << 20, 0, row * 4},
          values{&pages[s], 1 << 20, kv * d * 4, row * 4};
      if (c.starts[s + 1] > c.starts[s])
        spans.push_back({c.starts[s], c.starts[s + 1] - c.starts[s], 0, keys, values});
    }
    for (const Table& table : tables()) {
      CpuBackend backend = table.backend(2);
      std::vector<float> out(o.dout.size());
      backend.attend(o.q.data(), spans, shape, out.data());
      ASSERT_EQ(run(o, backend).out, out) << c.what << " " << table.name;
    }
  }
}

}  // namespace
}  // namespace nautile
