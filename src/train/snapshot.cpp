#include "train/snapshot.h"

#include <xxhash.h>

#include <algorithm>

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

}  // namespace

void Snapshot::Tensors::add(const Param& p, const std::string& state, const std::string& dtype,
                            std::span<const std::byte> bytes) {
  entries.push_back({p.info.name + state, dtype, p.info.shape});
  NAUTILE_ASSERT(!p.owned || entries.back().bytes() == bytes.size(), "{}: {} bytes for {}",
                 entries.back().name, bytes.size(), p.info.shape);
  sources.push_back({p.owner, bytes});
}

Snapshot::Snapshot(Trainer& trainer, RunState state)
    : state_(std::move(state)), facts_(facts_of(trainer)) {
  state_.step = trainer.step_count();
  state_.tokens_seen = trainer.tokens_seen();
  ParamSet& params = trainer.params();
  Tensors masters{kMastersFile, {}, {}, {}};
  for (const Param& p : params.params()) masters.add(p, "", "F32", std::as_bytes(params.master(p)));
  for (const RouterBias& bias : params.router_biases()) {
    const Slot& slot = *bias.slot;
    masters.entries.push_back({slot.weight.name, "F32", slot.weight.shape});
    masters.sources.push_back({0, std::as_bytes(std::span(slot.values))});
  }
  files_.push_back(std::move(masters));
  // The optimizer's state lies like the masters: it is cut by parameters.
  const auto part_of = [](const Param& p, std::span<const std::byte> all, std::size_t each) {
    return p.owned ? all.subspan(p.offset * each, p.count * each) : std::span<const std::byte>();
  };
  Tensors moments{kOptimizerFile, {}, {}, {}};
  for (const OptimizerState& part : trainer.optimizer().state()) {
    for (const Param& p : params.params())
      moments.add(p, "." + part.name, part.dtype, part_of(p, part.bytes, part.each()));
  }
  files_.push_back(std::move(moments));
  if (trainer.config().ema_decay > 0) {
    Tensors mean{kMeanFile, {}, {}, {}};
    const std::span<const std::byte> all = std::as_bytes(trainer.ema());
    for (const Param& p : params.params()) mean.add(p, "", "F32", part_of(p, all, sizeof(float)));
    files_.push_back(std::move(mean));
  }
  collect(trainer.comm());
}

// The ranks' numbers to the first one.
void Snapshot::collect(Comm& comm) {
  std::vector<Comm::Send> sends;
  std::vector<Comm::Receive> receives;
  for (Tensors& tensors : files_) {
    std::size_t size = 0;
    for (const store::SafetensorsEntry& entry : tensors.entries) size += entry.bytes();
    if (comm.is_root()) tensors.data.resize(size);
    std::byte* to = tensors.data.data();
    for (std::size_t i = 0; i < tensors.entries.size(); ++i) {
      const auto& [rank, bytes] = tensors.sources[i];
      const std::size_t count = tensors.entries[i].bytes();
      if (comm.is_root() && rank == 0) {
        std::copy(bytes.begin(), bytes.end(), to);
      } else if (comm.is_root()) {
        receives.push_back({rank, {to, count}});
      } else if (rank == comm.rank()) {
        sends.push_back({0, bytes});
      }
      if (comm.is_root()) to += count;
    }
  }
  comm.exchange(sends, receives);
  if (!comm.is_root()) files_.clear();
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
