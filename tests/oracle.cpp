#include "tests/oracle.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <numeric>

namespace nautile::test {
namespace {

const store::TensorRecord& record(const store::SafetensorsFile& file, const std::string& name) {
  for (const store::TensorRecord& tensor : file.tensors()) {
    if (tensor.name == name) return tensor;
  }
  fail(ErrorKind::failure, "the dump has no tensor {}", name);
}

// log softmax in f64
std::vector<double> log_softmax(const float* x, std::int64_t n) {
  std::vector<double> y(x, x + n);
  const double top = *std::max_element(y.begin(), y.end());
  double sum = 0;
  for (double v : y) sum += std::exp(v - top);
  for (double& v : y) v -= top + std::log(sum);
  return y;
}

}  // namespace

bool Dump::has(const std::string& name) const {
  return std::any_of(file_.tensors().begin(), file_.tensors().end(),
                     [&](const auto& t) { return t.name == name; });
}

std::vector<float> Dump::floats(const std::string& name) const {
  const store::TensorRecord& t = record(file_, name);
  std::vector<float> values(t.data.size() / 4);
  std::memcpy(values.data(), t.data.data(), t.data.size());
  return values;
}

std::vector<std::int32_t> Dump::integers(const std::string& name) const {
  const store::TensorRecord& t = record(file_, name);
  std::vector<std::int32_t> values(t.data.size() / 4);
  std::memcpy(values.data(), t.data.data(), t.data.size());
  return values;
}

std::vector<std::string> oracle_cases() {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator("tests/data/oracle")) {
    if (std::filesystem::exists(entry.path() / "dump.safetensors"))
      names.push_back(entry.path().filename());
  }
  std::sort(names.begin(), names.end());
  return names;
}

std::string oracle_path(const std::string& name) {
  return "tests/data/oracle/" + name;
}

Runner::Runner(const std::string& path, const CpuOptions& cpu, const ModelOptions& options)
    : checkpoint(Checkpoint::open(path)),
      backend(make_cpu_backend(cpu)),
      model(checkpoint.config(), checkpoint.weights(), options),
      scratch(std::size_t{1} << 30) {}

std::vector<std::int32_t> positions_of(const std::vector<std::int32_t>& starts) {
  std::vector<std::int32_t> positions(static_cast<std::size_t>(starts.back()));
  for (std::size_t s = 0; s + 1 < starts.size(); ++s) {
    std::iota(positions.begin() + starts[s], positions.begin() + starts[s + 1], 0);
  }
  return positions;
}

std::vector<float> run_fresh(Runner& runner, const std::vector<std::int32_t>& tokens,
                             const std::vector<std::int32_t>& starts, const ModelWatch& watch) {
  Arena::Scope scope(runner.scratch);
  Context ctx{*runner.backend, runner.scratch};
  const std::vector<std::int32_t> positions = positions_of(starts);
  const Tensor hidden = runner.model.hidden(ctx, {tokens, positions, starts, nullptr}, watch);
  const Tensor logits = runner.model.logits(ctx, hidden);
  return {logits.data, logits.data + logits.elements()};
}

Distance measure(const std::vector<float>& ours, const std::vector<float>& reference,
                 std::int64_t width) {
  Distance d{};
  double largest = 0, square = 0;
  for (std::size_t i = 0; i < reference.size(); ++i) {
    const double difference = static_cast<double>(ours[i]) - static_cast<double>(reference[i]);
    d.relative = std::max(d.relative, std::abs(difference));
    largest = std::max(largest, static_cast<double>(std::abs(reference[i])));
    square += difference * difference;
  }
  d.relative /= largest;
  const double rms = std::sqrt(square / static_cast<double>(reference.size()));
  const std::int64_t rows = static_cast<std::int64_t>(reference.size()) / width;
  std::int64_t decided = 0, agree = 0;
  for (std::int64_t r = 0; r < rows; ++r) {
    const float *a = reference.data() + r * width, *b = ours.data() + r * width;
    const std::vector<double> p = log_softmax(a, width), q = log_softmax(b, width);
    for (std::size_t i = 0; i < p.size(); ++i) d.kl += std::exp(p[i]) * (p[i] - q[i]);
    std::vector<float> sorted(a, a + width);
    std::partial_sort(sorted.begin(), sorted.begin() + 2, sorted.end(), std::greater<>());
    if (static_cast<double>(sorted[0] - sorted[1]) <= 10 * rms) continue;
    ++decided;
    agree += std::max_element(a, a + width) - a == std::max_element(b, b + width) - b;
  }
  d.kl /= static_cast<double>(rows);
  d.left_out = 1 - static_cast<double>(decided) / static_cast<double>(rows);
  d.top1 = decided ? static_cast<double>(agree) / static_cast<double>(decided) : 1;
  return d;
}

}  // namespace nautile::test
