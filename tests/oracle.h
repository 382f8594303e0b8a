// oracle.h — reads the dumps of tools/oracle and measures how far our numbers are from them.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "model/loader.h"
#include "store/safetensors.h"

namespace nautile::test {

// dump.safetensors of one case; see tools/oracle/make_oracle.py for the layout.
class Dump {
 public:
  explicit Dump(const std::string& path) : file_(store::SafetensorsFile::open(path)) {}
  bool has(const std::string& name) const;
  std::vector<float> floats(const std::string& name) const;
  std::vector<std::int32_t> integers(const std::string& name) const;

 private:
  store::SafetensorsFile file_;
};

// Names of the cases under tests/data/oracle that exist.
std::vector<std::string> oracle_cases();
std::string oracle_path(const std::string& name);

// A checkpoint ready to run on one backend.
struct Runner {
  Runner(const std::string& path, const CpuOptions& cpu, const ModelOptions& options);

  Checkpoint checkpoint;
  std::unique_ptr<Backend> backend;
  Model model;
  Arena scratch;
};

// All rows of `tokens` cut by `starts`, each span from position 0, without a cache -> logits [T,
// W].
std::vector<float> run_fresh(Runner& runner, const std::vector<std::int32_t>& tokens,
                             const std::vector<std::int32_t>& starts, const ModelWatch& watch = {});
std::vector<std::int32_t> positions_of(const std::vector<std::int32_t>& starts);

// Of logits [T, W] against reference logits.
struct Distance {
  double relative;  // largest difference over the largest reference logit
  double kl;        // mean over rows of KL(reference || ours), nats
  double top1;      // share of decided rows whose largest logit agrees
  double left_out;  // share of rows whose reference margin is below 10 × the RMS error
};
Distance measure(const std::vector<float>& ours, const std::vector<float>& reference,
                 std::int64_t width);

}  // namespace nautile::test
