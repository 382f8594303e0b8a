// experts.cpp — mixture of experts: route, dispatch, combine, and the balance loss.
#include <algorithm>
#include <cmath>
#include <numeric>

#include "ops/ops.h"

namespace nautile::ops {

// weights = g(scores) at the chosen experts, normalized and scaled as the rule says. The choice has
// no gradient; the bias chooses only.
Routing route(Context& ctx, Tensor scores, const float* bias, const RouteRule& rule) {
  NAUTILE_CHECK(scores.cols() == rule.experts, "route: scores are {} but there are {} experts",
                scores.shape, rule.experts);
  const std::size_t count = static_cast<std::size_t>(scores.rows() * rule.chosen);
  Routing routing{{ctx.scratch.array<std::int32_t>(count), count},
                  make_tensor(ctx.scratch, {scores.rows(), rule.chosen})};
  ctx.backend.route(scores, bias, rule, routing.chosen.data(), routing.weights.data);
  if (!ctx.tape) return routing;
  routing.weights = ctx.tape->name(routing.weights);
  ctx.tape->record({routing.weights}, [scores, routing, rule](Context& back, Gradients& gradients) {
    const Tensor dweights = gradients.take(routing.weights),
                 dscores = gradients.make(back, scores.shape);
    back.backend.gradients().route_gradient(scores, rule, routing.chosen.data(),
                                            routing.weights.data, dweights.data, dscores);
    gradients.release(dweights);
    gradients.give(back, scores, dscores);
  });
  return routing;
}

// rows[slot[t, k]] = x[t];  dx[t] = Σ_k drows[slot[t, k]]
Dispatched dispatch(Context& ctx, Tensor x, const Routing& routing, int experts) {
  const std::size_t copies = routing.chosen.size(),
                    per_token = static_cast<std::size_t>(routing.per_token());
  Dispatched d;
  d.begin = {ctx.scratch.array<std::int32_t>(static_cast<std::size_t>(experts) + 1),
             static_cast<std::size_t>(experts) + 1};
  d.slot = {ctx.scratch.array<std::int32_t>(copies), copies};
  std::span<std::int32_t> source{ctx.scratch.array<std::int32_t>(copies), copies};
  std::fill(d.begin.begin(), d.begin.end(), 0);
  for (std::int32_t e : routing.chosen) ++d.begin[static_cast<std::size_t>(e) + 1];
  std::partial_sum(d.begin.begin(), d.begin.end(), d.begin.begin());
  std::vector<std::int32_t> next(d.begin.begin(), d.begin.end() - 1);
  for (std::size_t i = 0; i < copies; ++i) {  // tokens ascending inside an expert
    const std::int32_t at = next[static_cast<std::size_t>(routing.chosen[i])]++;
    d.slot[i] = at;
    source[static_cast<std::size_t>(at)] = static_cast<std::int32_t>(i / per_token);
  }
  d.rows = make_tensor(ctx.scratch, {static_cast<std::int64_t>(copies), x.cols()});
  ctx.backend.gather(x, source, d.rows);
  if (!ctx.tape) return d;
  d.rows = ctx.tape->name(d.rows);
  ctx.tape->record(
      {d.rows}, [x, d, chosen = routing.per_token()](Context& back, Gradients& gradients) {
        const Tensor drows = gradients.take(d.rows), dx = gradients.make(back, x.shape);
        back.backend.gradients().dispatch_gradient(drows, d.slot.data(), chosen, dx);
        gradients.release(drows);
        gradients.give(back, x, dx);
      });
  return d;
}

// drows[slot[t, k]] = weights[t, k]·dy[t];  dweights[t, k] = rows[slot[t, k]]·dy[t];  dout = dy
Tensor combine(Context& ctx, Tensor rows, const Dispatched& where, const Routing& routing,
               Tensor out) {
  NAUTILE_CHECK(
      rows.cols() == out.cols() && static_cast<std::size_t>(rows.rows()) == where.slot.size(),
      "combine: rows are {} but out is {}", rows.shape, out.shape);
  const std::int32_t* slot = where.slot.data();
  ctx.backend.combine(rows, slot, routing.weights.data, routing.per_token(), out);
  if (!ctx.tape) return out;
  const Tensor y = ctx.tape->name(out);
  ctx.tape->record(
      {y}, [rows, slot, weights = routing.weights, out, y](Context& back, Gradients& gradients) {
        const Tensor dy = gradients.take(y), drows = gradients.make(back, rows.shape),
                     dweights = gradients.make(back, weights.shape);
        back.backend.gradients().combine_gradient(
            rows, slot, weights.data, static_cast<int>(weights.cols()), dy, drows, dweights.data);
        gradients.give(back, rows, drows);
        gradients.give(back, weights, dweights);
        gradients.give(back, out, dy);
      });
  return y;
}

namespace {

// What balance_loss needs of one packed row again on the way back.
struct RowBalance {
  std::vector<double> load;  // [E] f_i
};

// Affinities g(scores) of one token, and their sum.
double affinities(const float* scores, const RouteRule& rule, std::vector<double>& s) {
  const std::size_t experts = s.size();
  double sum = 0;
  if (rule.score == RouteRule::Score::sigmoid) {
    for (std::size_t e = 0; e < experts; ++e)
      sum += s[e] = 1 / (1 + std::exp(-static_cast<double>(scores[e])));
    return sum;
  }
  const float top = *std::max_element(scores, scores + experts);
  for (std::size_t e = 0; e < experts; ++e)
    sum += s[e] = std::exp(static_cast<double>(scores[e]) - static_cast<double>(top));
  for (double& value : s) value /= sum;
  return 1;
}

// d(Σ_e c_e·s_e/Σs)/dscores·factor, added to out [E].
void add_share_gradient(const RouteRule& rule, const std::vector<double>& s, double sum,
                        const std::vector<double>& c, double factor, float* out) {
  double mean = 0;
  for (std::size_t e = 0; e < s.size(); ++e) mean += c[e] * s[e] / sum;
  for (std::size_t e = 0; e < s.size(); ++e) {
    const double inner = rule.score == RouteRule::Score::sigmoid
                             ? (c[e] - mean) / sum * s[e] * (1 - s[e])
                             : (c[e] - mean) * s[e];
    out[e] = static_cast<float>(factor * inner);
  }
}

}  // namespace

// L = mean over rows of Σ_i f_i·P_i;  f_i = E/(K·T)·#{t : i in the top K},
// P_i = 1/T·Σ_t s_{t,i}/Σ_j s_{t,j}
Tensor balance_loss(Context& ctx, Tensor scores, const RouteRule& rule,
                    std::span<const std::int32_t> rows) {
  NAUTILE_CHECK(scores.cols() == rule.experts && rows.size() >= 2 && rows.front() == 0 &&
                    rows.back() == scores.rows(),
                "balance_loss: scores are {}, packed rows end at {}", scores.shape,
                rows.empty() ? 0 : rows.back());
  const std::size_t experts = static_cast<std::size_t>(rule.experts), B = rows.size() - 1;
  std::vector<RowBalance> balances(B);
  std::vector<double> s(experts);
  std::vector<int> order(experts);
  double loss = 0;
  for (std::size_t b = 0; b < B; ++b) {
    std::vector<double>& load = balances[b].load;
    load.assign(experts, 0);
    std::vector<double> share(experts, 0);
    const double T = rows[b + 1] - rows[b];
    for (std::int32_t t = rows[b]; t < rows[b + 1]; ++t) {
      const float* logits = scores.row(t);
      const double sum = affinities(logits, rule, s);
      for (std::size_t e = 0; e < experts; ++e) share[e] += s[e] / sum;
      std::iota(order.begin(), order.end(), 0);
      std::partial_sort(order.begin(), order.begin() + rule.chosen, order.end(), [&](int i, int j) {
        return logits[i] != logits[j] ? logits[i] > logits[j] : i < j;
      });
      for (int k = 0; k < rule.chosen; ++k)
        load[static_cast<std::size_t>(order[static_cast<std::size_t>(k)])] += 1;
    }
    for (std::size_t e = 0; e < experts && T > 0; ++e) {
      load[e] *= static_cast<double>(experts) / (rule.chosen * T);
      loss += load[e] * share[e] / T;
    }
  }
  Tensor y = make_tensor(ctx.scratch, {1});
  y.data[0] = static_cast<float>(loss / static_cast<double>(B));
  if (!ctx.tape) return y;
  y = ctx.tape->name(y);
  ctx.tape->record({y}, [scores, rule, rows, y, balances = std::move(balances)](
                            Context& back, Gradients& gradients) {
    const Tensor dy = gradients.take(y), dscores = gradients.make(back, scores.shape);
    std::vector<double> s(static_cast<std::size_t>(rule.experts));
    for (std::size_t b = 0; b < balances.size(); ++b) {
      const double T = rows[b + 1] - rows[b];
      const double factor =
          static_cast<double>(dy.data[0]) / (T * static_cast<double>(balances.size()));
      for (std::int32_t t = rows[b]; t < rows[b + 1]; ++t) {
        const double sum = affinities(scores.row(t), rule, s);
        add_share_gradient(rule, s, sum, balances[b].load, factor, dscores.row(t));
      }
    }
    gradients.release(dy);
    gradients.give(back, scores, dscores);
  });
  return y;
}

Tensor attach_loss(Context& ctx, Tensor x, Tensor loss) {
  NAUTILE_CHECK(loss.elements() == 1, "attach_loss: a loss of {}", loss.shape);
  if (!ctx.tape) return x;
  const Tensor y = ctx.tape->name(x);
  ctx.tape->record(
      {y}, [x, y, loss, scale = ctx.tape->attached_scale](Context& back, Gradients& gradients) {
        gradients.give(back, x, gradients.take(y));
        const Tensor dloss = gradients.make(back, loss.shape);
        dloss.data[0] = scale;
        gradients.give(back, loss, dloss);
      });
  return y;
}

}  // namespace nautile::ops
