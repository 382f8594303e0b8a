// format_bench.cpp — how fast each table unpacks each format, in bytes of the file per second.
//
// One row of 4096 weights at a time, 16 rows in turn (a panel), as a matrix-vector product does;
// the rows stay in the L2 cache, so the numbers are those of the arithmetic, not of the memory.
#include <benchmark/benchmark.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "base/bf16.h"
#include "base/cpu_features.h"
#include "base/format.h"
#include "kernels/kernels.h"

namespace nautile::kernels {
namespace {

constexpr int kColumns = 4096;
constexpr Isa kIsas[] = {Isa::reference, Isa::avx2, Isa::avx512_vnni, Isa::avx512, Isa::amx};

// Bytes of a small, varied pattern: as scales they are finite and normal.
std::vector<std::byte> sample_rows(Format format) {
  std::vector<std::byte> bytes(kPanelRows * row_bytes(format, kColumns));
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::byte>(i * 37 % 59 + 1);
  return bytes;
}

// Chunks of kChunk columns, as the backend asks for them.
template <class Each>
void each_chunk(const std::vector<std::byte>& rows, Format format, Each each) {
  const std::size_t row = row_bytes(format, kColumns);
  const std::size_t chunk = row_bytes(format, kChunk);
  for (int c = 0; c < kColumns / kChunk; ++c) {
    for (int r = 0; r < kPanelRows; ++r) {
      each(rows.data() + static_cast<std::size_t>(r) * row + static_cast<std::size_t>(c) * chunk,
           r);
    }
  }
}

void finish(benchmark::State& state, const std::vector<std::byte>& rows) {
  state.SetBytesProcessed(static_cast<std::int64_t>(rows.size()) * state.iterations());
  state.counters["weights"] = benchmark::Counter(
      static_cast<double>(kPanelRows * kColumns) * static_cast<double>(state.iterations()),
      benchmark::Counter::kIsRate);
}

void unpack_f32(benchmark::State& state, const FormatKernels& kernels, Format format) {
  const std::vector<std::byte> rows = sample_rows(format);
  std::vector<float> out(kPanelRows * kChunk);
  for (auto _ : state) {
    each_chunk(rows, format, [&](const std::byte* blocks, int r) {
      kernels.f32(blocks, kChunk, out.data() + r * kChunk);
    });
    benchmark::ClobberMemory();
  }
  finish(state, rows);
}

void unpack_i8(benchmark::State& state, const FormatKernels& kernels, Format format) {
  const std::vector<std::byte> rows = sample_rows(format);
  std::vector<std::int8_t> q(kPanelRows * kChunk);
  std::vector<float> scale(kPanelRows * kChunk / 16);
  std::vector<float> offset(kPanelRows * kChunk / 16);
  for (auto _ : state) {
    each_chunk(rows, format, [&](const std::byte* blocks, int r) {
      kernels.i8(blocks, kChunk, q.data() + r * kChunk, scale.data() + r, offset.data() + r);
    });
    benchmark::ClobberMemory();
  }
  finish(state, rows);
}

void add_benchmarks(Isa isa) {
  if (!cpu_features().can(isa)) return;
  for (int i = 0; i < kFormatCount; ++i) {
    const Format format = static_cast<Format>(i);
    const FormatKernels& kernels = table(isa).format(format);
    const std::string suffix = std::string(name(isa)) + "/" + std::string(info(format).name);
    if (kernels.f32) {
      benchmark::RegisterBenchmark(("f32/" + suffix).c_str(), unpack_f32, kernels, format);
    }
    if (kernels.i8) {
      benchmark::RegisterBenchmark(("i8/" + suffix).c_str(), unpack_i8, kernels, format);
    }
  }
}

}  // namespace
}  // namespace nautile::kernels

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  for (const nautile::Isa isa : nautile::kernels::kIsas) nautile::kernels::add_benchmarks(isa);
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
