#include "train/run_folder.h"

#include <fcntl.h>
#include <fmt/ranges.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <filesystem>

#include "base/file.h"
#include "train/snapshot.h"

namespace nautile::train {
namespace {

namespace fs = std::filesystem;

// Names that begin with a dot are not checkpoints: being written, or being removed.
constexpr const char* kWriting = ".writing-";
constexpr const char* kRemoved = ".removed-";

// "step-00001234", or "step-00001234.2" for a second one of that step (after going back).
struct Entry {
  std::int64_t step = 0;
  int generation = 1;
  std::string name;

  bool operator<(const Entry& other) const {
    return step != other.step ? step < other.step : generation < other.generation;
  }
};

std::string entry_name(std::int64_t step, int generation) {
  return generation == 1 ? fmt::format("step-{:08}", step)
                         : fmt::format("step-{:08}.{}", step, generation);
}

std::optional<Entry> parse_entry(const std::string& name) {
  constexpr std::string_view kStep = "step-";
  if (!name.starts_with(kStep)) return std::nullopt;
  Entry entry;
  const char* const end = name.data() + name.size();
  const auto step = std::from_chars(name.data() + kStep.size(), end, entry.step);
  if (step.ec != std::errc()) return std::nullopt;
  if (step.ptr != end && *step.ptr == '.') std::from_chars(step.ptr + 1, end, entry.generation);
  entry.name = entry_name(entry.step, entry.generation);
  if (entry.name != name || entry.step < 0) return std::nullopt;
  return entry;
}

// Ascending; none where the folder is missing.
std::vector<Entry> entries_of(const std::string& folder) {
  std::vector<Entry> entries;
  std::error_code error;
  for (const fs::directory_entry& file : fs::directory_iterator(folder, error)) {
    if (std::optional<Entry> entry = parse_entry(file.path().filename().string()))
      entries.push_back(std::move(*entry));
  }
  if (error && error != std::errc::no_such_file_or_directory)
    fail(ErrorKind::failure, "cannot read the folder {}: {}", folder, error.message());
  std::sort(entries.begin(), entries.end());
  return entries;
}

void make_folder(const std::string& folder) {
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) fail(ErrorKind::failure, "cannot make the folder {}: {}", folder, error.message());
}

void rename_file(const std::string& from, const std::string& to) {
  std::error_code error;
  fs::rename(from, to, error);
  if (error) fail(ErrorKind::failure, "cannot rename {} to {}: {}", from, to, error.message());
}

void remove_folder(const std::string& folder) {
  std::error_code error;
  fs::remove_all(folder, error);
  if (error) fail(ErrorKind::failure, "cannot remove {}: {}", folder, error.message());
}

// Under another name first, so that no half of it is ever taken for a checkpoint.
void remove_entry(const std::string& folder, const std::string& name) {
  const std::string away = folder + "/" + kRemoved + name;
  remove_folder(away);
  rename_file(folder + "/" + name, away);
  remove_folder(away);
}

// The one just written and those of later steps stay in any case: whatever is damaged, one valid
// checkpoint is left.
void prune(const std::string& folder, const Entry& written, const Retention& retention) {
  std::vector<Entry> entries = entries_of(folder);
  int kept = 1;
  std::int64_t last_step = written.step;
  for (auto entry = entries.rbegin(); entry != entries.rend(); ++entry) {
    if (entry->step > written.step || entry->name == written.name) continue;
    const bool replaced = entry->step == last_step;  // a newer one of the same step is kept
    last_step = entry->step;
    const bool milestone =
        (retention.milestone_every > 0 && entry->step % retention.milestone_every == 0) ||
        (retention.step > 0 && entry->step == retention.step);
    if (!replaced && kept < retention.last) {
      ++kept;
    } else if (replaced || !milestone) {
      remove_entry(folder, entry->name);
    }
  }
}

void write_checkpoint(const std::string& folder, const Snapshot& snapshot,
                      const Retention& retention) {
  Entry entry{snapshot.state().step, 1, {}};
  std::string temporary;
  try {
    for (const Entry& other : entries_of(folder)) {
      if (other.step == entry.step) entry.generation = other.generation + 1;
    }
    entry.name = entry_name(entry.step, entry.generation);
    temporary = folder + "/" + kWriting + entry.name;
    remove_folder(temporary);
    make_folder(temporary);
    snapshot.write(temporary);
    rename_file(temporary, folder + "/" + entry.name);
    sync_folder(folder);
  } catch (const Error& error) {
    std::error_code ignored;
    if (!temporary.empty()) fs::remove_all(temporary, ignored);
    throw error.with("while writing the checkpoint of step {}", entry.step);
  }
  prune(folder, entry, retention);
}

}  // namespace

class RunFolder::Lock {
 public:
  explicit Lock(const std::string& folder) {
    const std::string path = folder + "/.lock";
    fd_ = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (fd_ < 0) fail(ErrorKind::failure, "cannot open {}: {}", path, std::strerror(errno));
    if (::flock(fd_, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK) return;  // some cannot lock
    ::close(fd_);
    throw make_error(ErrorKind::failure, "another process trains in {}", folder)
        .hint("wait for its end, or choose another folder");
  }
  ~Lock() { ::close(fd_); }
  Lock(const Lock&) = delete;
  Lock& operator=(const Lock&) = delete;

 private:
  int fd_ = -1;
};

RunFolder::RunFolder(std::string path, Use use, Retention retention)
    : path_(std::move(path)), use_(use), retention_(retention) {
  if (use == Use::read) {
    std::error_code error;
    if (!fs::is_directory(path_, error))
      fail(ErrorKind::failure, "{} is not a training run's folder: there is no such folder", path_);
    return;
  }
  make_folder(path_);
  lock_ = std::make_unique<Lock>(path_);
  make_folder(checkpoints());
  for (const fs::directory_entry& left : fs::directory_iterator(checkpoints())) {
    const std::string name = left.path().filename().string();
    if (name.starts_with(kWriting) || name.starts_with(kRemoved))
      remove_folder(left.path().string());
  }
  sync_folder(path_);
}

RunFolder::~RunFolder() = default;

std::string RunFolder::file(std::string_view name) const {
  return fmt::format("{}/{}", path_, name);
}

std::vector<std::int64_t> RunFolder::steps() const {
  std::vector<std::int64_t> steps;
  for (const Entry& entry : entries_of(checkpoints())) {
    if (steps.empty() || steps.back() != entry.step) steps.push_back(entry.step);
  }
  return steps;
}

std::optional<SavedStep> RunFolder::newest_valid(const Notice& notice) const {
  const std::vector<Entry> entries = entries_of(checkpoints());
  std::string damage;
  for (auto entry = entries.rbegin(); entry != entries.rend(); ++entry) {
    try {
      return SavedStep::open(checkpoints() + "/" + entry->name);
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::bad_input && error.kind() != ErrorKind::failure) throw;
      const std::string sentence =
          fmt::format("the checkpoint {} is damaged: {}", entry->name, error.message());
      if (notice) notice(sentence);
      damage += "\n    " + sentence;
    }
  }
  if (damage.empty()) return std::nullopt;
  fail(ErrorKind::bad_input, "no checkpoint of {} is whole:{}", path_, damage);
}

SavedStep RunFolder::at_step(std::int64_t step) const {
  const std::vector<Entry> entries = entries_of(checkpoints());
  const auto found = std::find_if(entries.rbegin(), entries.rend(),
                                  [&](const Entry& entry) { return entry.step == step; });
  if (found != entries.rend()) return SavedStep::open(checkpoints() + "/" + found->name);
  Error error = make_error(ErrorKind::usage, "{} has no checkpoint of step {}", path_, step);
  if (entries.empty()) throw error.hint("it has none at all");
  throw error.hint("it has those of {}", fmt::join(steps(), ", "));
}

void RunFolder::save(Trainer& trainer, RunState state) {
  NAUTILE_ASSERT(use_ == Use::train, "{} is open for reading", path_);
  background_.wait();  // before the copy is made: one at a time
  background_.start([folder = checkpoints(), retention = retention_,
                     snapshot = Snapshot(trainer, std::move(state))] {
    write_checkpoint(folder, snapshot, retention);
  });
}

void RunFolder::discard_after(std::int64_t step) {
  NAUTILE_ASSERT(use_ == Use::train, "{} is open for reading", path_);
  wait();
  if (step > 0) at_step(step);
  for (const Entry& entry : entries_of(checkpoints())) {
    if (entry.step > step) remove_entry(checkpoints(), entry.name);
  }
}

int RunFolder::keep_tokenizer(const std::string& from) {
  make_folder(tokenizer_folder());
  return copy_tokenizer_files(from, tokenizer_folder());
}

int copy_tokenizer_files(const std::string& from, const std::string& to) {
  constexpr const char* kNames[] = {"tokenizer.json",
                                    "tokenizer_config.json",
                                    "special_tokens_map.json",
                                    "added_tokens.json",
                                    "vocab.json",
                                    "merges.txt",
                                    "chat_template.jinja",
                                    "generation_config.json",
                                    "tiktoken.model"};
  int count = 0;
  for (const char* name : kNames) {
    const fs::path file = fs::path(from) / name;
    std::error_code error;
    if (!fs::is_regular_file(file, error)) continue;
    write_file_atomic((fs::path(to) / name).string(), read_file(file.string()));
    ++count;
  }
  return count;
}

}  // namespace nautile::train
