// memory.h — MemoryNeed: what a model needs beside its weights, and what the machine has left.
#pragma once

#include <cstdint>

namespace nautile::engine {

// Bytes, known before anything is allocated.
struct MemoryNeed {
  std::uint64_t weights = 0, kv = 0, scratch = 0;
  std::uint64_t total() const { return weights + kv + scratch; }
};

// Memory that new pages can come from without swapping (MemAvailable, cgroup limit), in bytes.
std::uint64_t available_memory();

}  // namespace nautile::engine
