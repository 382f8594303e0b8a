// page_disk_test.cpp — pages on disk: over restarts, damaged, over budget, in a shared folder.
#include "engine/page_disk.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "base/file.h"
#include "engine/engine_testing.h"

namespace nautile::engine {
namespace {

namespace fs = std::filesystem;
constexpr std::size_t kBytes = 1000;

struct TestPage {
  PageKey key;
  std::vector<std::int32_t> tokens;
  std::vector<std::byte> bytes;

  explicit TestPage(std::uint64_t number)
      : key{number, number * 7}, tokens(64, static_cast<std::int32_t>(number)), bytes(kBytes) {
    for (std::size_t i = 0; i < kBytes; ++i) bytes[i] = static_cast<std::byte>(number * 31 + i);
  }
};

void write(PageDisk& disk, const TestPage& page) {
  disk.write(page.key, "user", page.tokens, page.bytes);
}
bool reads(PageDisk& disk, const TestPage& page) {
  std::vector<std::byte> into(kBytes);
  return disk.has(page.key) &&
         disk.read(page.key, "user", page.tokens, into) == PageDisk::Read::hit &&
         into == page.bytes;
}
std::vector<std::string> page_files(const std::string& folder) {
  std::vector<std::string> files;
  for (const fs::directory_entry& file : fs::directory_iterator(folder)) {
    if (file.path().extension() == ".page") files.push_back(file.path().string());
  }
  return files;
}

TEST(PageDisk, KeepsPagesOverARestart) {
  const ScratchFolder folder;
  const TestPage one(1), two(2);
  {
    PageDisk disk(folder.path + "/made", 1 << 20, "model", kBytes);
    write(disk, one);
    write(disk, two);
    disk.flush();
    EXPECT_TRUE(reads(disk, one));
    EXPECT_GT(disk.bytes(), 2 * kBytes);
    EXPECT_EQ(disk.failures(), 0u);
  }
  EXPECT_EQ(fs::status(folder.path + "/made").permissions() & fs::perms::others_all,
            fs::perms::none);
  PageDisk disk(folder.path + "/made", 1 << 20, "model", kBytes);
  EXPECT_TRUE(reads(disk, one));
  EXPECT_TRUE(reads(disk, two));
  EXPECT_FALSE(reads(disk, TestPage(3)));
}

TEST(PageDisk, BelievesNothingOfAnotherOrigin) {
  const ScratchFolder folder;
  const TestPage one(1);
  PageDisk disk(folder.path, 1 << 20, "model", kBytes);
  write(disk, one);
  disk.flush();
  PageDisk other(folder.path, 1 << 20, "another model", kBytes);
  EXPECT_FALSE(other.has(one.key));
  std::vector<std::byte> into(kBytes);
  std::vector<std::int32_t> tokens = one.tokens;
  tokens[3] ^= 1;
  EXPECT_EQ(disk.read(one.key, "user", tokens, into), PageDisk::Read::miss);
  disk.flush();
  write(disk, one);
  disk.flush();
  EXPECT_EQ(disk.read(one.key, "somebody", one.tokens, into), PageDisk::Read::miss);
}

TEST(PageDisk, ADamagedPageIsAMiss) {
  const ScratchFolder folder;
  const TestPage one(1);
  for (int damage = 0; damage < 4; ++damage) {
    {
      PageDisk disk(folder.path, 1 << 20, "model", kBytes);
      write(disk, one);
    }
    const std::vector<std::string> files = page_files(folder.path);
    ASSERT_EQ(files.size(), 1u);
    std::string content = read_file(files[0]);
    if (damage == 0) content[content.size() / 2] ^= 1;
    if (damage == 1) content.resize(content.size() / 2);
    if (damage == 2) content.clear();
    if (damage == 3) content[9] ^= 4;
    write_file_atomic(files[0], content);
    PageDisk disk(folder.path, 1 << 20, "model", kBytes);
    EXPECT_TRUE(disk.has(one.key));
    EXPECT_FALSE(reads(disk, one)) << damage;
    EXPECT_FALSE(disk.has(one.key));
    disk.flush();
    EXPECT_TRUE(page_files(folder.path).empty());
  }
  // Gone behind its back.
  PageDisk disk(folder.path, 1 << 20, "model", kBytes);
  write(disk, one);
  disk.flush();
  fs::remove(page_files(folder.path).at(0));
  EXPECT_FALSE(reads(disk, one));
}

TEST(PageDisk, ADamagedIndexIsMadeAnew) {
  const ScratchFolder folder;
  write_file_atomic(folder.path + "/index.sqlite3", std::string(5000, 'x'));
  PageDisk disk(folder.path, 1 << 20, "model", kBytes);
  const TestPage one(1);
  write(disk, one);
  disk.flush();
  EXPECT_TRUE(reads(disk, one));
}

TEST(PageDisk, KeepsToItsBudgetAndForgetsTheLeastUsed) {
  const ScratchFolder folder;
  const std::uint64_t each =
      page_file({"model", "user", TestPage(0).tokens}, TestPage(0).bytes).size();
  PageDisk disk(folder.path, 4 * each, "model", kBytes);
  for (std::uint64_t i = 0; i < 4; ++i) {
    write(disk, TestPage(i));
    disk.flush();
  }
  EXPECT_TRUE(reads(disk, TestPage(0)));  // used now
  disk.flush();
  write(disk, TestPage(4));
  disk.flush();
  EXPECT_TRUE(reads(disk, TestPage(0)));
  EXPECT_FALSE(disk.has(TestPage(1).key));
  EXPECT_TRUE(reads(disk, TestPage(4)));
  EXPECT_LE(disk.bytes(), 4 * each);
  EXPECT_EQ(page_files(folder.path).size(), 4u);
  // A smaller budget at the next start, and a neighbour in the folder, count too.
  disk.flush();
  PageDisk neighbour(folder.path, 2 * each, "other", kBytes);
  EXPECT_EQ(page_files(folder.path).size(), 2u);
}

TEST(PageDisk, AFolderThatCannotBeIsAnError) {
  const ScratchFolder folder;
  write_file_atomic(folder.path + "/file", "x");
  EXPECT_THROW(PageDisk(folder.path + "/file/below", 1 << 20, "model", kBytes), Error);
}

// A full disk or a folder that goes away costs pages and nothing else.
TEST(PageDisk, WhatCannotBeWrittenIsCounted) {
  const ScratchFolder folder;
  PageDisk disk(folder.path + "/cache", 1 << 20, "model", kBytes);
  fs::remove_all(folder.path + "/cache");
  write(disk, TestPage(1));
  disk.flush();
  EXPECT_EQ(disk.failures(), 1u);
  EXPECT_FALSE(disk.has(TestPage(1).key));
}

}  // namespace
}  // namespace nautile::engine
