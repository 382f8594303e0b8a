// peak_memory_testing.h — PeakMemory: how far this process's memory rises, for tests of bounds.
#pragma once

#include <algorithm>
#include <cstddef>
#include <fstream>
#include <string>

#include "base/sanitizer.h"

namespace nautile {

// From its construction on. Linux (proc(5)): VmHWM is the most that has been resident, and "5" in
// clear_refs begins it anew; where that is not allowed, older heights count as well, which makes a
// bound stricter and never weaker.
class PeakMemory {
 public:
  PeakMemory() {
    std::ofstream("/proc/self/clear_refs") << "5";
    start_ = kibibytes("VmRSS:");
  }

  // Bytes that were resident at most, above those at the start. 0 under AddressSanitizer, which
  // keeps what was freed.
  std::size_t risen() const {
#ifdef NAUTILE_ASAN
    return 0;
#else
    return (std::max(kibibytes("VmHWM:"), start_) - start_) << 10;
#endif
  }

 private:
  static std::size_t kibibytes(const std::string& name) {
    std::ifstream status("/proc/self/status");
    for (std::string word; status >> word;) {
      std::size_t number = 0;
      if (word == name && status >> number) return number;
    }
    return 0;
  }

  std::size_t start_ = 0;
};

}  // namespace nautile
