#include "train/saved_step.h"

#include <fcntl.h>
#include <fmt/ranges.h>
#include <unistd.h>
#include <xxhash.h>

#include <cerrno>
#include <cstring>

#include "base/file.h"
#include "train/snapshot.h"

namespace nautile::train {
namespace {

constexpr std::size_t kMostState = std::size_t{64} << 20;
constexpr std::size_t kPiece = std::size_t{1} << 20;

// Read, not mapped: where the disk cannot give the bytes, a read is an error and a touched page is
// a signal.
FileSum sum_of_file(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) fail(ErrorKind::failure, "cannot open {}: {}", path, std::strerror(errno));
  XXH64_state_t* state = XXH64_createState();
  XXH64_reset(state, 0);
  std::vector<std::byte> piece(kPiece);
  FileSum sum;
  ssize_t got = 0;
  int code = 0;
  do {
    got = ::read(fd, piece.data(), piece.size());
    code = errno;
    if (got <= 0) continue;
    XXH64_update(state, piece.data(), static_cast<std::size_t>(got));
    sum.bytes += static_cast<std::uint64_t>(got);
  } while (got > 0 || (got < 0 && code == EINTR));
  sum.xxh64 = XXH64_digest(state);
  XXH64_freeState(state);
  ::close(fd);
  if (got < 0) fail(ErrorKind::failure, "cannot read {}: {}", path, std::strerror(code));
  return sum;
}

void verify(const std::string& path, const FileSum& expected) {
  const FileSum found = sum_of_file(path);
  NAUTILE_CHECK(found.bytes == expected.bytes, "{} has {} bytes, expected {}", path, found.bytes,
                expected.bytes);
  NAUTILE_CHECK(found.xxh64 == expected.xxh64, "{}: the checksum is {}, expected {}", path,
                checksum_text(found.xxh64), checksum_text(expected.xxh64));
}

// state.json, after its checksum.
std::string read_state(const std::string& folder) {
  const std::string path = folder + "/" + kStateFile;
  const std::string line = read_file(folder + "/" + kStateChecksumFile, 1024);
  std::string text = read_file(path, kMostState);
  const std::string found =
      fmt::format("{}  {}\n", checksum_text(XXH64(text.data(), text.size(), 0)), kStateFile);
  NAUTILE_CHECK(line == found, "{} and {} do not fit each other", path, kStateChecksumFile);
  return text;
}

std::span<std::byte> writable(std::span<float> values) {
  return std::as_writable_bytes(values);
}

}  // namespace

SavedStep SavedStep::open(const std::string& folder) {
  SavedStep step;
  step.path_ = folder;
  step.file_ = StateFile::parse(read_state(folder), folder + "/" + kStateFile);
  const auto path_of = [&](const std::string& name) { return fmt::format("{}/{}", folder, name); };
  for (const auto& [name, sum] : step.file_.files) verify(path_of(name), sum);
  for (const auto& [name, sum] : step.file_.files) {
    Part part{store::SafetensorsFile::open(path_of(name)), {}};
    for (const store::TensorRecord& record : part.file.tensors())
      part.names.emplace(record.name, &record);
    step.parts_.emplace(name, std::move(part));
  }
  for (const char* name : {kMastersFile, kOptimizerFile})
    NAUTILE_CHECK(step.find_part(name), "{}/{} does not list {}", folder, kStateFile, name);
  return step;
}

std::uint64_t SavedStep::bytes() const {
  std::uint64_t sum = 0;
  for (const auto& [name, file] : file_.files) sum += file.bytes;
  return sum;
}

const SavedStep::Part* SavedStep::find_part(std::string_view file) const {
  const auto at = parts_.find(file);
  return at == parts_.end() ? nullptr : &at->second;
}

const SavedStep::Part* SavedStep::find_part(Numbers which) const {
  return find_part(which == Numbers::mean ? kMeanFile : kMastersFile);
}

const store::TensorRecord& SavedStep::tensor(const Part& part, const std::string& name,
                                             const Shape& shape, const std::string& dtype) const {
  const auto at = part.names.find(name);
  NAUTILE_CHECK(at != part.names.end(), "{} has no {}", part.file.path(), name);
  const store::TensorRecord& record = *at->second;
  NAUTILE_CHECK(record.shape == shape && record.dtype == dtype,
                "{}: {} is {} {}, the trainer's is {} {}", part.file.path(), name, record.dtype,
                record.shape.str(), dtype, shape.str());
  return record;
}

std::span<const float> SavedStep::values(const std::string& canonical, const Shape& shape,
                                         Numbers which) const {
  const Part* part = find_part(which);
  NAUTILE_CHECK(part, "{} has no {}: the run kept no mean of its weights", path_, kMeanFile);
  const store::TensorRecord& record = tensor(*part, canonical, shape, "F32");
  NAUTILE_CHECK(reinterpret_cast<std::uintptr_t>(record.data.data()) % alignof(float) == 0,
                "{}: {} is not aligned", record.file, canonical);
  return {reinterpret_cast<const float*>(record.data.data()), record.data.size() / sizeof(float)};
}

std::string SavedStep::differences(Trainer& trainer) const {
  std::vector<std::string> list;
  for (const auto& [name, value] : facts_of(trainer)) {
    const auto saved = file_.trainer.find(name);
    const std::string found = saved == file_.trainer.end() ? "not told" : saved->second;
    if (found != value) list.push_back(fmt::format("{} is {} there, {} here", name, found, value));
  }
  // Names that only one side has; shapes are compared when they are read.
  std::size_t known = 0;
  for (const Param& p : trainer.params().params()) {
    known += find_part(kMastersFile)->names.count(p.info.name);
  }
  for (const RouterBias& bias : trainer.params().router_biases())
    known += find_part(kMastersFile)->names.count(bias.slot->weight.name);
  const std::size_t here =
      trainer.params().params().size() + trainer.params().router_biases().size();
  const std::size_t there = find_part(kMastersFile)->names.size();
  if (known != here || known != there) {
    list.push_back(
        fmt::format("it has {} weights, the model here {}, and {} are common", there, here, known));
  }
  return fmt::format("{}", fmt::join(list, "; "));
}

void SavedStep::load_into(Trainer& trainer) const {
  const std::string other = differences(trainer);
  if (!other.empty()) {
    throw make_error(ErrorKind::bad_input, "{} was written by another trainer: {}", path_, other)
        .hint("to change these, export the model and begin a new run from it");
  }
  // All is looked up before anything is set.
  std::vector<std::pair<std::span<std::byte>, std::span<const std::byte>>> copies;
  const auto plan = [&](const char* file, const std::string& name, const Shape& shape,
                        const std::string& dtype, std::span<std::byte> to) {
    const Part* part = find_part(file);
    NAUTILE_CHECK(part, "{} has no {}", path_, file);
    copies.emplace_back(to, tensor(*part, name, shape, dtype).data);
  };
  ParamSet& params = trainer.params();
  for (const Param& p : params.params()) {
    if (!p.owned) continue;
    plan(kMastersFile, p.info.name, p.info.shape, "F32", writable(params.master(p)));
    if (trainer.config().ema_decay > 0) {
      plan(kMeanFile, p.info.name, p.info.shape, "F32",
           writable(trainer.ema().subspan(p.offset, p.count)));
    }
  }
  for (const RouterBias& bias : params.router_biases()) {
    Slot& slot = *bias.slot;
    plan(kMastersFile, slot.weight.name, slot.weight.shape, "F32", writable(slot.values));
  }
  for (const OptimizerState& part : trainer.optimizer().state()) {
    const std::size_t size = part.each();
    for (const Param& p : params.params()) {
      if (!p.owned) continue;
      plan(kOptimizerFile, p.info.name + "." + part.name, p.info.shape, part.dtype,
           part.bytes.subspan(p.offset * size, p.count * size));
    }
  }
  for (const auto& [to, from] : copies) {
    NAUTILE_ASSERT(to.size() == from.size(), "{} bytes into {}", from.size(), to.size());
    if (!to.empty()) std::memcpy(to.data(), from.data(), to.size());
  }
  trainer.refresh();
  trainer.set_progress(state().step, state().tokens_seen);
}

}  // namespace nautile::train
