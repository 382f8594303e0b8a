#include "app/machine.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <memory>
#include <random>
#include <vector>

#include "base/cpu_features.h"
#include "base/error.h"
#include "base/parallel.h"
#include "engine/session.h"
#include "kernels/kernels.h"

namespace nautile::app {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// Fresh pages of our own; each thread touches its share first, so that it lies on its own node.
class Block {
 public:
  explicit Block(std::size_t bytes) : bytes_(bytes) {
    void* data = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (data == MAP_FAILED)
      fail(ErrorKind::no_memory, "cannot map {} bytes to measure with", bytes);
    data_ = static_cast<std::uint64_t*>(data);
    madvise(data, bytes, MADV_HUGEPAGE);
  }
  ~Block() { munmap(data_, bytes_); }
  Block(const Block&) = delete;
  Block& operator=(const Block&) = delete;
  std::uint64_t* data() const { return data_; }

 private:
  std::size_t bytes_;
  std::uint64_t* data_;
};

std::uint64_t sum_words(const std::uint64_t* words, std::int64_t count) {
  std::uint64_t sum[16] = {};
  for (std::int64_t i = 0; i + 16 <= count; i += 16) {
    for (int lane = 0; lane < 16; ++lane) sum[lane] += words[i + lane];
  }
  std::uint64_t all = 0;
  for (const std::uint64_t lane : sum) all += lane;
  return all;
}

// Operands of one thread's product: 32 rows against four panels of one chunk.
class PeakOperands {
 public:
  PeakOperands(const kernels::Kernels& table, ComputeClass compute)
      : panels_(table.panels), compute_(compute) {
    std::mt19937 random(7);
    std::uniform_real_distribution<float> uniform(-1, 1);
    for (float& value : x_) value = uniform(random);
    for (float& value : w_) value = uniform(random);
    pack_inputs();
    pack_panels();
  }

  void multiply() {
    const kernels::TileShape shape{kRows, kernels::kMaxPanels, kChunk, kWidth};
    const auto* x16 = reinterpret_cast<const bf16*>(inputs_.data());
    const auto* w16 = reinterpret_cast<const bf16*>(packed_.data());
    switch (compute_) {
      case ComputeClass::f32:
        panels_.multiply_f32({x_.data(), kChunk},
                             {reinterpret_cast<const float*>(packed_.data()), kPanel}, shape,
                             y_.data());
        break;
      case ComputeClass::bf16:
        panels_.multiply_bf16({x16, kChunk}, {w16, kPanel}, shape, y_.data());
        break;
      case ComputeClass::i8:
        panels_.multiply_i8(
            {inputs_.data(), input_stride_, scale_.data(), kChunk / 32, sums_.data(), kChunk / 16},
            {packed_.data(), kPanel * static_cast<std::size_t>(panels_.i8_panel_bytes),
             panel_scale_.data(), nullptr, kChunk / 32 * 16, 32},
            shape, y_.data());
        break;
      case ComputeClass::fp8dyn:
        panels_.multiply_f8({x16, kChunk, scale_.data(), kChunk / 128},
                            {w16, kPanel, panel_scale_.data(), kChunk / 128 * 16}, shape,
                            y_.data());
        break;
    }
  }

  static constexpr double flops() { return 2.0 * kRows * kWidth * kChunk; }

 private:
  static constexpr int kRows = 32, kChunk = kernels::kChunk;
  static constexpr std::size_t kWidth = kernels::kMaxPanels * kernels::kPanelRows;
  static constexpr std::size_t kPanel = static_cast<std::size_t>(kChunk) * kernels::kPanelRows;

  void pack_inputs() {
    input_stride_ = static_cast<std::size_t>(kChunk * 2);
    inputs_.resize(kRows * input_stride_);
    for (std::size_t row = 0; row < kRows; ++row) {
      const float* x = x_.data() + row * kChunk;
      auto* x16 = reinterpret_cast<bf16*>(inputs_.data()) + row * kChunk;
      switch (compute_) {
        case ComputeClass::f32:
          break;
        case ComputeClass::bf16:
          panels_.pack_bf16(x, kChunk, x16);
          break;
        case ComputeClass::i8:
          panels_.pack_i8(x, kChunk, inputs_.data() + row * input_stride_,
                          scale_.data() + row * (kChunk / 32), sums_.data() + row * (kChunk / 16));
          break;
        case ComputeClass::fp8dyn:
          panels_.pack_f8(x, kChunk, kernels::F8Scale::any, kernels::kF8LeastInput, x16,
                          scale_.data() + row * (kChunk / 128));
          break;
      }
    }
  }

  void pack_panels() {
    packed_.resize(kernels::kMaxPanels * kPanel * 4);
    std::vector<std::int8_t> q(kPanel);
    for (std::size_t i = 0; i < kPanel; ++i) q[i] = static_cast<std::int8_t>(w_[i] * 127);
    for (std::size_t p = 0; p < kernels::kMaxPanels; ++p) {
      if (compute_ == ComputeClass::f32) {
        panels_.interleave_f32(w_.data(), kChunk, 16, kChunk,
                               reinterpret_cast<float*>(packed_.data()) + p * kPanel);
      } else if (compute_ == ComputeClass::i8) {
        panels_.interleave_i8(
            q.data(), kChunk, 16, kChunk,
            packed_.data() + p * kPanel * static_cast<std::size_t>(panels_.i8_panel_bytes));
      } else {
        panels_.interleave_bf16(w_.data(), kChunk, 16, kChunk,
                                reinterpret_cast<bf16*>(packed_.data()) + p * kPanel);
      }
    }
  }

  const kernels::PanelKernels& panels_;
  ComputeClass compute_;
  std::vector<float> x_ = std::vector<float>(kRows * kChunk);
  std::vector<float> w_ = std::vector<float>(kPanel);
  std::vector<float> y_ = std::vector<float>(kRows * kWidth);
  std::vector<std::byte> inputs_, packed_;
  std::size_t input_stride_ = 0;
  std::vector<float> scale_ = std::vector<float>(kRows * kChunk / 32, 0.01f);
  std::vector<float> panel_scale_ = std::vector<float>(kernels::kMaxPanels * kChunk, 0.01f);
  std::vector<std::int32_t> sums_ = std::vector<std::int32_t>(kRows * kChunk / 16);
};

std::string chosen_word(const char* path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  const std::size_t open = line.find('['), close = line.find(']');
  return open < close && close != line.npos ? line.substr(open + 1, close - open - 1) : line;
}

std::uint64_t configured(int name) {
  return static_cast<std::uint64_t>(std::max(0L, sysconf(name)));
}

int count_nodes() {
  int nodes = 0;
  std::error_code ignored;
  for (const auto& entry :
       std::filesystem::directory_iterator("/sys/devices/system/node", ignored)) {
    const std::string name = entry.path().filename().string();
    if (name.starts_with("node") && name.find_first_not_of("0123456789", 4) == name.npos) ++nodes;
  }
  return std::max(1, nodes);
}

}  // namespace

double measure_read_bandwidth(int threads) {
  constexpr std::uint64_t kMost = std::uint64_t{512} << 20, kLeast = std::uint64_t{32} << 20;
  constexpr int kPasses = 5;
  const std::uint64_t bytes = std::clamp(engine::available_memory() / 4, kLeast, kMost);
  const Block block(bytes);
  const auto words = static_cast<std::int64_t>(bytes / 8);
  ThreadPool pool(threads);
  pool.parallel_for(words, 1, [&](std::int64_t begin, std::int64_t end, int) {
    for (std::int64_t i = begin; i < end; ++i) block.data()[i] = static_cast<std::uint64_t>(i);
  });
  std::vector<std::uint64_t> sums(static_cast<std::size_t>(threads) * 8);  // a cache line each
  double best = 0;
  for (int pass = 0; pass < kPasses; ++pass) {
    const auto start = Clock::now();
    pool.parallel_for(words, 1, [&](std::int64_t begin, std::int64_t end, int thread) {
      sums[static_cast<std::size_t>(thread) * 8] += sum_words(block.data() + begin, end - begin);
    });
    best = std::max(best, static_cast<double>(bytes) / seconds_since(start));
  }
  // Keeps the sums, and with them the reads, alive.
  volatile std::uint64_t keep = sums[0];
  static_cast<void>(keep);
  return best;
}

double measure_peak_flops(Isa isa, ComputeClass compute, int threads) {
  constexpr double kSlice = 0.05;  // seconds of one pass
  constexpr int kPasses = 3;
  std::vector<std::unique_ptr<PeakOperands>> operands;
  for (int i = 0; i < threads; ++i) {
    operands.push_back(std::make_unique<PeakOperands>(kernels::table(isa), compute));
  }
  // How many products fill a slice: from one thread's speed.
  int repeats = 1;
  for (double spent = 0; spent < kSlice / 4; repeats *= 2) {
    const auto start = Clock::now();
    for (int i = 0; i < repeats; ++i) operands[0]->multiply();
    spent = seconds_since(start);
    if (repeats > (1 << 24)) break;
  }
  repeats *= 2;
  ThreadPool pool(threads);
  double best = 0;
  for (int pass = 0; pass < kPasses; ++pass) {
    const auto start = Clock::now();
    pool.run([&](int thread) {
      for (int i = 0; i < repeats; ++i) operands[static_cast<std::size_t>(thread)]->multiply();
    });
    best = std::max(best, PeakOperands::flops() * repeats * threads / seconds_since(start));
  }
  return best;
}

MachineFacts machine_facts() {
  MachineFacts facts;
  facts.cpu = cpu_features().model;
  facts.cores = available_cores();
  facts.numa_nodes = count_nodes();
  facts.memory = configured(_SC_PHYS_PAGES) * configured(_SC_PAGESIZE);
  facts.available = engine::available_memory();
  facts.level2 = configured(_SC_LEVEL2_CACHE_SIZE);
  facts.level3 = configured(_SC_LEVEL3_CACHE_SIZE);
  facts.huge_pages = chosen_word("/sys/kernel/mm/transparent_hugepage/enabled");
  return facts;
}

}  // namespace nautile::app
