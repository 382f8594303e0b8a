#include "train/snapshot.h"

#include <xxhash.h>

#include "base/file.h"

namespace nautile::train {
namespace {

// The checksum of bytes that come in pieces.
class Checksum {
 public:
  Checksum() : state_(XXH64_createState()) { XXH64_reset(state_, 0); }
  ~Checksum() { XXH64_freeState(state_); }
  Checksum(const Checksum&) = delete;
  Checksum& operator=(const Checksum&) = delete;

  void add(std::span<const std::byte> bytes) {
    XXH64_update(state_, bytes.data(), bytes.size());
    bytes_ += bytes.size();
  }
  FileSum sum() const { return {bytes_, XXH64_digest(state_)}; }

 private:
  XXH64_state_t* state_;
  std::uint64_t bytes_ = 0;
};

std::span<const std::byte> bytes_of(std::span<const float> values) {
  return std::as_bytes(values);
}

}  // namespace

void Snapshot::Tensors::add(std::string name, std::string dtype, Shape shape,
                            std::span<const std::byte> bytes) {
  entries.push_back({std::move(name), std::move(dtype), shape});
  NAUTILE_ASSERT(entries.back().bytes() == bytes.size(), "{}: {} bytes for {}", entries.back().name,
                 bytes.size(), shape);
  data.insert(data.end(), bytes.begin(), bytes.end());
}

Snapshot::Snapshot(Trainer& trainer, RunState state)
    : state_(std::move(state)), facts_(facts_of(trainer)) {
  state_.step = trainer.step_count();
  state_.tokens_seen = trainer.tokens_seen();
  ParamSet& params = trainer.params();
  Tensors masters{kMastersFile, {}, {}};
  masters.data.reserve(params.size() * sizeof(float));
  for (const Param& p : params.params())
    masters.add(p.info.name, "F32", p.info.shape, bytes_of(params.master(p)));
  for (const RouterBias& bias : params.router_biases()) {
    const Slot& slot = *bias.slot;
    masters.add(slot.weight.name, "F32", slot.weight.shape, bytes_of(slot.values));
  }
  files_.push_back(std::move(masters));
  // The optimizer's state lies like the masters: it is cut by parameters.
  Tensors moments{kOptimizerFile, {}, {}};
  for (const OptimizerState& part : trainer.optimizer().state()) {
    const std::size_t size = part.bytes.size() / params.size();
    NAUTILE_ASSERT(part.bytes.size() == size * params.size(), "{}: {} bytes for {} parameters",
                   part.name, part.bytes.size(), params.size());
    moments.data.reserve(moments.data.size() + part.bytes.size());
    for (const Param& p : params.params()) {
      moments.add(p.info.name + "." + part.name, part.dtype, p.info.shape,
                  part.bytes.subspan(p.offset * size, p.count * size));
    }
  }
  files_.push_back(std::move(moments));
  if (trainer.ema().empty()) return;
  Tensors mean{kMeanFile, {}, {}};
  mean.data.reserve(params.size() * sizeof(float));
  for (const Param& p : params.params())
    mean.add(p.info.name, "F32", p.info.shape, bytes_of(trainer.ema().subspan(p.offset, p.count)));
  files_.push_back(std::move(mean));
}

void Snapshot::write(const std::string& folder) const {
  StateFile state{state_, facts_, {}};
  for (const Tensors& tensors : files_) {
    Checksum checksum;
    store::SafetensorsWriter writer(folder + "/" + tensors.file, tensors.entries,
                                    {{"format", "pt"}},
                                    [&](std::span<const std::byte> bytes) { checksum.add(bytes); });
    writer.append(tensors.data);
    writer.finish();
    state.files[tensors.file] = checksum.sum();
  }
  const std::string text = state.text();
  write_file_atomic(folder + "/" + kStateFile, text);
  write_file_atomic(
      folder + "/" + kStateChecksumFile,
      fmt::format("{}  {}\n", checksum_text(XXH64(text.data(), text.size(), 0)), kStateFile));
}

}  // namespace nautile::train
