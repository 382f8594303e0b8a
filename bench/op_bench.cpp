// op_bench.cpp — every op at a training step's size: the forward pass, and forward and back.
//
// Counters: GFLOP/s of the forward pass; for the way there and back three times its work, which is
// what a product costs.
#include <benchmark/benchmark.h>

#include "base/cpu_features.h"
#include "base/parallel.h"
#include "tests/op_cases/op_case.h"

namespace nautile {
namespace {

using testing::OpCase;
using testing::OpRun;

void rate(benchmark::State& state, double flops) {
  if (flops > 0) {
    state.counters["FLOP/s"] =
        benchmark::Counter(flops, benchmark::Counter::kIsIterationInvariantRate);
  }
}

void forward(benchmark::State& state, const OpCase& op, Backend& backend) {
  Arena arena(std::size_t{4} << 30);
  OpRun run(op, 1);
  for (auto _ : state) {
    Arena::Scope scope(arena);
    Context ctx{backend, arena};
    benchmark::DoNotOptimize(run.forward(ctx).data);
  }
  rate(state, op.flops);
}

void both(benchmark::State& state, const OpCase& op, Backend& backend) {
  const float one[1] = {1};
  Arena arena(std::size_t{4} << 30);
  OpRun run(op, 1);
  for (auto _ : state) run.train(backend, arena, one);
  rate(state, 3 * op.flops);
}

}  // namespace
}  // namespace nautile

int main(int argc, char** argv) {
  using namespace nautile;
  const std::unique_ptr<Backend> backend = make_cpu_backend({.isa = cpu_features().best(),
                                                             .threads = available_cores(),
                                                             .compute_class = ComputeClass::bf16});
  const std::vector<testing::OpCase> cases = testing::op_cases(testing::OpSize::training);
  for (const testing::OpCase& op : cases) {
    benchmark::RegisterBenchmark((op.name + "/forward").c_str(),
                                 [&](benchmark::State& state) { forward(state, op, *backend); })
        ->Unit(benchmark::kMillisecond)
        ->UseRealTime();
    benchmark::RegisterBenchmark((op.name + "/both").c_str(),
                                 [&](benchmark::State& state) { both(state, op, *backend); })
        ->Unit(benchmark::kMillisecond)
        ->UseRealTime();
  }
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
