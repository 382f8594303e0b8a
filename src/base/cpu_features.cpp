#include "base/cpu_features.h"

#include <cpuid.h>
#include <fmt/ranges.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstring>

#include "base/error.h"

namespace nautile {
namespace {

struct Cpuid {
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
};

Cpuid cpuid(unsigned leaf, unsigned subleaf) {
  Cpuid r;
  __get_cpuid_count(leaf, subleaf, &r.eax, &r.ebx, &r.ecx, &r.edx);
  return r;
}

bool bit(unsigned word, int index) {
  return (word >> index) & 1u;
}

// Which register states the operating system saves (XCR0).
std::uint64_t saved_states() {
  if (!bit(cpuid(1, 0).ecx, 27)) return 0;  // OSXSAVE
  unsigned low, high;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return (static_cast<std::uint64_t>(high) << 32) | low;
}

// Linux gives the 8 KiB of tile registers only to a process that asks
// (Documentation/arch/x86/xstate.rst).
bool tiles_permitted() {
  constexpr long kArchReqXcompPerm = 0x1023, kTileData = 18;
  return syscall(SYS_arch_prctl, kArchReqXcompPerm, kTileData) == 0;
}

std::string brand() {
  char text[49] = {};
  for (unsigned i = 0; i < 3; ++i) {
    const Cpuid r = cpuid(0x80000002u + i, 0);
    std::memcpy(text + 16 * i, &r, 16);
  }
  std::string model(text);
  while (!model.empty() && model.back() == ' ') model.pop_back();
  return model;
}

struct Need {
  Isa isa;
  const char* feature;
  bool present;
};

CpuFeatures detect() {
  const Cpuid one = cpuid(1, 0), seven = cpuid(7, 0), seven_one = cpuid(7, 1);
  const std::uint64_t states = saved_states();
  const bool ymm = (states & 0x6) == 0x6;
  const bool zmm = ymm && (states & 0xe0) == 0xe0;
  const bool tile = (states & 0x60000) == 0x60000;
  const Need needs[] = {
      {Isa::avx2, "avx2", ymm && bit(seven.ebx, 5)},
      {Isa::avx2, "fma", ymm && bit(one.ecx, 12)},
      {Isa::avx2, "f16c", ymm && bit(one.ecx, 29)},
      {Isa::avx512_vnni, "avx512f", zmm && bit(seven.ebx, 16)},
      {Isa::avx512_vnni, "avx512bw", zmm && bit(seven.ebx, 30)},
      {Isa::avx512_vnni, "avx512dq", zmm && bit(seven.ebx, 17)},
      {Isa::avx512_vnni, "avx512vl", zmm && bit(seven.ebx, 31)},
      {Isa::avx512_vnni, "avx512_vnni", zmm && bit(seven.ecx, 11)},
      {Isa::avx512, "avx512_bf16", zmm && bit(seven_one.eax, 5)},
      {Isa::amx, "amx_tile", tile && bit(seven.edx, 24)},
      {Isa::amx, "amx_bf16", tile && bit(seven.edx, 22)},
  };
  CpuFeatures result;
  result.model = brand();
  for (bool& supported : result.supports) supported = true;
  for (const Need& need : needs) {
    (need.present ? result.present : result.absent).emplace_back(need.feature);
    if (need.present) continue;
    for (int isa = static_cast<int>(need.isa); isa < kIsaCount; ++isa) result.supports[isa] = false;
  }
  bool& amx = result.supports[static_cast<int>(Isa::amx)];
  if (amx && !tiles_permitted()) {
    amx = false;
    result.absent.emplace_back("amx permission (arch_prctl refused)");
  }
  return result;
}

}  // namespace

Isa CpuFeatures::best() const {
  for (int isa = kIsaCount - 1; isa > 0; --isa) {
    if (supports[isa]) return static_cast<Isa>(isa);
  }
  return Isa::reference;
}

const CpuFeatures& cpu_features() {
  static const CpuFeatures features = detect();
  return features;
}

Isa isa_by_name(std::string_view text) {
  for (int i = 0; i < kIsaCount; ++i) {
    const Isa isa = static_cast<Isa>(i);
    if (name(isa) != text) continue;
    if (!cpu_features().can(isa)) {
      throw make_error(ErrorKind::unsupported,
                       "instruction set '{}' cannot run on this CPU ({}): missing {}", text,
                       cpu_features().model, fmt::join(cpu_features().absent, ", "))
          .hint("'{}' is the best table here", name(cpu_features().best()));
    }
    return isa;
  }
  fail(ErrorKind::usage,
       "unknown instruction set '{}': expected reference, avx2, avx512_vnni, avx512 or amx", text);
}

}  // namespace nautile
