#include "engine/page_disk.h"

#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <utility>

#include "base/error.h"
#include "base/file.h"

namespace nautile::engine {
namespace {

namespace fs = std::filesystem;

// What may wait to be written; beyond it pages are dropped.
constexpr std::size_t kWaitingBytes = std::size_t{64} << 20;
// Files that no index knows are somebody's unfinished work for this long.
constexpr auto kOrphanAge = std::chrono::hours(1);
constexpr int kEvictTogether = 64;

std::int64_t now() {
  return std::chrono::duration_cast<std::chrono::microseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

std::string made_folder(std::string folder) {
  std::error_code error;
  const bool made = fs::create_directories(folder, error);
  if (error) fail(ErrorKind::failure, "cannot make the folder {}: {}", folder, error.message());
  // What is in it tells what was asked.
  if (made) ::chmod(folder.c_str(), 0700);
  return folder;
}

// Written beside and renamed. Not synced: a page that a crash tears is found by its checksum.
void write_page(const std::string& path, const std::string& content) {
  const std::string temporary = path + "." + std::to_string(::getpid()) + ".tmp";
  std::error_code error;
  {
    std::ofstream out(temporary, std::ios::binary | std::ios::trunc);
    out.write(content.data(), static_cast<std::streamsize>(content.size()));
    out.close();
    if (!out) {
      fs::remove(temporary, error);
      fail(ErrorKind::failure, "cannot write {} bytes to {}", content.size(), temporary);
    }
  }
  ::chmod(temporary.c_str(), 0600);
  fs::rename(temporary, path, error);
  if (error) fail(ErrorKind::failure, "cannot rename {}: {}", temporary, error.message());
}

}  // namespace

PageDisk::PageDisk(std::string folder, std::uint64_t bytes, std::string cache,
                   std::size_t page_bytes)
    : folder_(made_folder(std::move(folder))),
      most_bytes_(bytes),
      cache_(std::move(cache)),
      page_bytes_(page_bytes),
      index_(folder_ + "/index.sqlite3") {
  number_ = index_.number_of(cache_);
  sweep();
  evict();  // the budget may have become smaller
  thread_.start([this] { work(); });
}

PageDisk::~PageDisk() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

std::string PageDisk::path_of(std::int64_t cache, const PageKey& key) const {
  return fmt::format("{}/{}-{:016x}{:016x}.page", folder_, cache, key.high, key.low);
}

// Makes index and files agree; what another process is writing now is left alone.
void PageDisk::sweep() {
  std::unordered_set<std::string> files, known;
  for (const fs::directory_entry& file : fs::directory_iterator(folder_))
    files.insert(file.path().string());
  std::vector<PageIndex::Row> gone;
  index_.each([&](const PageIndex::Row& row) {
    std::string path = path_of(row.cache, row.key);
    if (!files.contains(path)) {
      gone.push_back(row);
      return;
    }
    known.insert(std::move(path));
    if (row.cache == number_) there_.insert(row.key);
    bytes_ += row.bytes;
  });
  for (const PageIndex::Row& row : gone) index_.erase(row.cache, row.key);
  const auto old = fs::file_time_type::clock::now() - kOrphanAge;
  for (const std::string& path : files) {
    std::error_code ignored;
    if (!path.ends_with(".page") && !path.ends_with(".tmp")) continue;
    if (!known.contains(path) && fs::last_write_time(path, ignored) < old)
      fs::remove(path, ignored);
  }
}

bool PageDisk::has(const PageKey& key) const {
  const std::lock_guard lock(mutex_);
  return there_.contains(key);
}

PageDisk::Read PageDisk::read(const PageKey& key, std::string_view user,
                              std::span<const std::int32_t> tokens, std::span<std::byte> page) {
  std::string content;
  std::optional<std::span<const std::byte>> found;
  try {
    content = read_file(path_of(number_, key), page_bytes_ * 2 + (std::size_t{64} << 20));
    found = page_in(std::as_bytes(std::span(content)), {cache_, user, tokens}, page.size());
  } catch (const Error&) {  // gone, or larger than any page
  }
  if (!found) {
    {
      const std::lock_guard lock(mutex_);
      there_.erase(key);
    }
    add({.kind = Job::Kind::erase, .key = key, .file = {}});
    return Read::miss;
  }
  std::copy(found->begin(), found->end(), page.begin());
  add({.kind = Job::Kind::touch, .key = key, .file = {}});
  return Read::hit;
}

void PageDisk::write(const PageKey& key, std::string_view user,
                     std::span<const std::int32_t> tokens, std::span<const std::byte> page) {
  {
    const std::lock_guard lock(mutex_);
    if (there_.contains(key) || waiting_bytes_ > kWaitingBytes || page.size() > most_bytes_) return;
  }
  add({.kind = Job::Kind::write, .key = key, .file = page_file({cache_, user, tokens}, page)});
}

void PageDisk::add(Job job) {
  {
    const std::lock_guard lock(mutex_);
    waiting_bytes_ += job.file.size();
    jobs_.push_back(std::move(job));
  }
  changed_.notify_all();
}

void PageDisk::flush() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return jobs_.empty() && !working_; });
}

std::uint64_t PageDisk::bytes() const {
  const std::lock_guard lock(mutex_);
  return bytes_;
}

std::uint64_t PageDisk::failures() const {
  const std::lock_guard lock(mutex_);
  return failures_;
}

void PageDisk::work() {
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [this] { return stop_ || !jobs_.empty(); });
    if (jobs_.empty()) return;
    const Job job = std::move(jobs_.front());
    jobs_.pop_front();
    working_ = true;
    lock.unlock();
    bool failed = false;
    try {
      perform(job);
    } catch (const std::exception&) {  // a full disk, a folder that is gone
      failed = true;
    }
    lock.lock();
    waiting_bytes_ -= job.file.size();
    failures_ += failed && job.kind == Job::Kind::write;
    working_ = false;
    changed_.notify_all();
  }
}

void PageDisk::perform(const Job& job) {
  const std::string path = path_of(number_, job.key);
  if (job.kind == Job::Kind::touch) {
    index_.touch(number_, job.key, now());
    return;
  }
  if (job.kind == Job::Kind::erase) {
    std::error_code ignored;
    fs::remove(path, ignored);
    index_.erase(number_, job.key);
  } else {
    if (has(job.key)) return;
    write_page(path, job.file);
    index_.put({number_, job.key, job.file.size()}, now());
    const std::lock_guard lock(mutex_);
    there_.insert(job.key);
    bytes_ += job.file.size();
  }
  if (job.kind == Job::Kind::erase || bytes() > most_bytes_) evict();
}

// The index knows what other processes wrote and removed.
void PageDisk::evict() {
  std::uint64_t all = index_.bytes();
  while (all > most_bytes_) {
    const std::vector<PageIndex::Row> rows = index_.oldest(kEvictTogether);
    if (rows.empty()) break;
    for (const PageIndex::Row& row : rows) {
      if (all <= most_bytes_) break;
      std::error_code ignored;
      fs::remove(path_of(row.cache, row.key), ignored);
      index_.erase(row.cache, row.key);
      all -= std::min(all, row.bytes);
      const std::lock_guard lock(mutex_);
      if (row.cache == number_) there_.erase(row.key);
    }
  }
  const std::lock_guard lock(mutex_);
  bytes_ = all;
}

}  // namespace nautile::engine
