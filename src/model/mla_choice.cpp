#include "model/mla_choice.h"

#include <fmt/format.h>

namespace nautile {

std::string MlaChoice::why() const {
  return fmt::format("{}: absorbed costs {:.3g} multiply-adds, expanded {:.3g}",
                     form == MlaForm::absorbed ? "absorbed" : "expanded", absorbed_cost,
                     expanded_cost);
}

MlaChoice choose_mla_form(const AttentionConfig& a, MlaForm wanted, std::int64_t count,
                          std::int64_t past) {
  const double T = static_cast<double>(count), P = static_cast<double>(past),
               seen = P - (T - 1) / 2;
  const double H = a.heads, C = a.kv_rank, up = a.plain_dims + a.value_dims;
  MlaChoice choice{wanted, T * H * C * up + T * seen * H * (2 * C + a.rope_dims),
                   P * H * C * up + T * seen * H * (up + a.rope_dims)};
  if (wanted == MlaForm::by_cost) {
    choice.form =
        choice.absorbed_cost <= choice.expanded_cost ? MlaForm::absorbed : MlaForm::expanded;
  }
  return choice;
}

// What absorbed costs more, T·seen·H·(2C − up) − (P − T)·H·C·up, grows with T if it is ever
// positive.
std::int64_t mla_expands_from(const AttentionConfig& a, std::int64_t before, std::int64_t most) {
  const auto expands = [&](std::int64_t count) {
    return choose_mla_form(a, MlaForm::by_cost, count, before + count).form == MlaForm::expanded;
  };
  if (most < 1 || !expands(most)) return 0;
  std::int64_t low = 0, high = most;  // high expands, low does not
  while (high - low > 1) {
    const std::int64_t middle = low + (high - low) / 2;
    (expands(middle) ? high : low) = middle;
  }
  return high;
}

}  // namespace nautile
