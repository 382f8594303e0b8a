// expert_group.h — ExpertGroup: processes that have the routed experts of a model among them.
#pragma once

#include "comm/comm.h"

namespace nautile {

// Ranks [first, first + size) of `comm`; the rank with index i has experts [begin(i), begin(i +
// 1)).
struct ExpertGroup {
  Comm& comm;
  int first = 0, size = 1;
  int experts = 0;  // of a layer

  int index() const { return comm.rank() - first; }
  int begin(int i) const { return static_cast<int>(static_cast<std::int64_t>(experts) * i / size); }
  // Where rank `index` is counted from this one, round the group.
  std::uint32_t source_of(int i) const {
    return static_cast<std::uint32_t>((i - index() + size) % size);
  }
};

}  // namespace nautile
