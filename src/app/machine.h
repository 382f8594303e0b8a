// machine.h — what this machine can do, measured: the ceilings that speeds are compared with.
#pragma once

#include <cstdint>
#include <string>

#include "base/compute_class.h"
#include "base/isa.h"

namespace nautile::app {

// Bytes per second read from memory by `threads` threads: the best of several passes over a block
// that no cache holds (512 MB, less where memory is short). Takes under a second.
double measure_read_bandwidth(int threads);

// Multiply-adds per second, counted as two, of a table's own product kernel for a class on operands
// that stay in cache, by `threads` threads. The CPU must be able to run the table.
double measure_peak_flops(Isa isa, ComputeClass compute, int threads);

struct MachineFacts {
  std::string cpu;
  int cores = 0;  // this process may run on
  int numa_nodes = 1;
  std::uint64_t memory = 0, available = 0;  // bytes
  std::uint64_t level2 = 0, level3 = 0;     // bytes of cache; 0: unknown
  std::string huge_pages;                   // the kernel's choice: "madvise"
};
MachineFacts machine_facts();

}  // namespace nautile::app
