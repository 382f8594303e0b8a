#include "engine/page_index.h"

#include <sqlite3.h>

#include <array>
#include <cstring>
#include <filesystem>

#include "base/error.h"

namespace nautile::engine {
namespace {

constexpr int kBusyMilliseconds = 5000;

constexpr const char* kSchema =
    "PRAGMA journal_mode = WAL;"
    // A lost last transaction costs a page, not the file.
    "PRAGMA synchronous = NORMAL;"
    "PRAGMA user_version = 1;"
    "CREATE TABLE IF NOT EXISTS caches (number INTEGER PRIMARY KEY, name TEXT UNIQUE NOT NULL);"
    "CREATE TABLE IF NOT EXISTS pages (cache INTEGER NOT NULL, key BLOB NOT NULL,"
    " bytes INTEGER NOT NULL, used INTEGER NOT NULL, PRIMARY KEY (cache, key)) WITHOUT ROWID;"
    "CREATE INDEX IF NOT EXISTS pages_used ON pages (used);"
    // Finds damage now and not in the middle of a request.
    "SELECT count(*), sum(bytes) FROM pages; SELECT count(*) FROM caches;";

// A prepared statement in use: bound in order, stepped, reset at the end.
class Statement {
 public:
  Statement(sqlite3* database, const char* text) : database_(database) {
    if (sqlite3_prepare_v2(database, text, -1, &statement_, nullptr) != SQLITE_OK) complain();
  }
  ~Statement() { sqlite3_finalize(statement_); }
  Statement(const Statement&) = delete;
  Statement& operator=(const Statement&) = delete;

  Statement& bind(std::int64_t value) {
    sqlite3_bind_int64(statement_, ++bound_, value);
    return *this;
  }
  Statement& bind(std::string_view text) {
    sqlite3_bind_text(statement_, ++bound_, text.data(), static_cast<int>(text.size()),
                      SQLITE_TRANSIENT);
    return *this;
  }
  Statement& bind(const PageKey& key) {
    sqlite3_bind_blob(statement_, ++bound_, &key, sizeof key, SQLITE_TRANSIENT);
    return *this;
  }
  // Whether there is a row.
  bool step() {
    const int code = sqlite3_step(statement_);
    if (code == SQLITE_ROW) return true;
    if (code != SQLITE_DONE) complain();
    return false;
  }
  std::int64_t integer(int column) { return sqlite3_column_int64(statement_, column); }
  // Whether the column holds a key.
  bool key(int column, PageKey& into) {
    const void* bytes = sqlite3_column_blob(statement_, column);
    if (!bytes || sqlite3_column_bytes(statement_, column) != sizeof into) return false;
    std::memcpy(&into, bytes, sizeof into);
    return true;
  }

 private:
  [[noreturn]] void complain() {
    fail(ErrorKind::failure, "the index of cached pages: {}", sqlite3_errmsg(database_));
  }

  sqlite3* database_;
  sqlite3_stmt* statement_ = nullptr;
  int bound_ = 0;
};

}  // namespace

struct PageIndex::Impl {
  sqlite3* database = nullptr;
  ~Impl() { sqlite3_close(database); }

  // Empty if it is open and sound, else why not.
  std::string open(const std::string& path) {
    std::string why;
    if (sqlite3_open(path.c_str(), &database) == SQLITE_OK) {
      sqlite3_busy_timeout(database, kBusyMilliseconds);
      if (sqlite3_exec(database, kSchema, nullptr, nullptr, nullptr) == SQLITE_OK) return why;
    }
    why = sqlite3_errmsg(database);
    sqlite3_close(std::exchange(database, nullptr));
    return why;
  }
};

PageIndex::PageIndex(const std::string& path) : impl_(std::make_unique<Impl>()) {
  if (impl_->open(path).empty()) return;
  for (const char* end : {"", "-wal", "-shm"}) {
    std::error_code ignored;
    std::filesystem::remove(path + end, ignored);
  }
  const std::string why = impl_->open(path);
  if (!why.empty())
    fail(ErrorKind::failure, "cannot use {} as the index of cached pages: {}", path, why);
}

PageIndex::~PageIndex() = default;

std::int64_t PageIndex::number_of(std::string_view cache) {
  Statement(impl_->database, "INSERT OR IGNORE INTO caches (name) VALUES (?)").bind(cache).step();
  Statement found(impl_->database, "SELECT number FROM caches WHERE name = ?");
  if (!found.bind(cache).step()) fail(ErrorKind::failure, "the index of cached pages lost a name");
  return found.integer(0);
}

void PageIndex::each(const std::function<void(const Row&)>& row) {
  Statement all(impl_->database, "SELECT cache, key, bytes FROM pages");
  while (all.step()) {
    Row one{
        .cache = all.integer(0), .key = {}, .bytes = static_cast<std::uint64_t>(all.integer(2))};
    if (all.key(1, one.key)) row(one);
  }
}

void PageIndex::put(const Row& row, std::int64_t used) {
  Statement(impl_->database, "INSERT OR REPLACE INTO pages VALUES (?, ?, ?, ?)")
      .bind(row.cache)
      .bind(row.key)
      .bind(static_cast<std::int64_t>(row.bytes))
      .bind(used)
      .step();
}

void PageIndex::touch(std::int64_t cache, const PageKey& key, std::int64_t used) {
  Statement(impl_->database, "UPDATE pages SET used = ? WHERE cache = ? AND key = ?")
      .bind(used)
      .bind(cache)
      .bind(key)
      .step();
}

void PageIndex::erase(std::int64_t cache, const PageKey& key) {
  Statement(impl_->database, "DELETE FROM pages WHERE cache = ? AND key = ?")
      .bind(cache)
      .bind(key)
      .step();
}

std::uint64_t PageIndex::bytes() {
  Statement sum(impl_->database, "SELECT coalesce(sum(bytes), 0) FROM pages");
  return sum.step() ? static_cast<std::uint64_t>(sum.integer(0)) : 0;
}

std::vector<PageIndex::Row> PageIndex::oldest(int most) {
  Statement list(impl_->database, "SELECT cache, key, bytes FROM pages ORDER BY used LIMIT ?");
  list.bind(static_cast<std::int64_t>(most));
  std::vector<Row> rows;
  while (list.step()) {
    Row one{
        .cache = list.integer(0), .key = {}, .bytes = static_cast<std::uint64_t>(list.integer(2))};
    if (list.key(1, one.key)) rows.push_back(one);
  }
  return rows;
}

}  // namespace nautile::engine
