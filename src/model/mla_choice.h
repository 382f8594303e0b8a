// mla_choice.h — which form of latent attention computes a span, and why.
#pragma once

#include <cstdint>
#include <string>

#include "model/config.h"

namespace nautile {

// expanded: keys and values per head are made from the latents of all tokens so far, then it is
// plain attention. absorbed: queries and results pass through latent space, and the latents are the
// keys and values of all heads. The two round differently: by_cost may change the form with the
// length of a chunk, the others never do.
enum class MlaForm : std::uint8_t { by_cost, absorbed, expanded };

struct MlaChoice {
  MlaForm form;                         // absorbed or expanded
  double absorbed_cost, expanded_cost;  // multiply-adds of one layer
  // "expanded: absorbed costs 2.32e+10 multiply-adds, expanded 1.21e+10".
  std::string why() const;
};

// `count` query tokens over `past` keys, these included.
MlaChoice choose_mla_form(const AttentionConfig& config, MlaForm wanted, std::int64_t count,
                          std::int64_t past);

// The shortest chunk that by_cost expands where `before` tokens come before it; 0 if none of up to
// `most` tokens is. Longer chunks are expanded too.
std::int64_t mla_expands_from(const AttentionConfig& config, std::int64_t before,
                              std::int64_t most);

}  // namespace nautile
