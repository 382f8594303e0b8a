// TensorBoard's files, byte by byte, and the lines of metrics.
#include "train/event_file.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "base/json.h"
#include "train/metrics.h"
#include "train/spike_watch.h"

namespace nautile::train {
namespace {

namespace fs = std::filesystem;

std::string bytes(std::initializer_list<int> list) {
  std::string text;
  for (const int value : list) text.push_back(static_cast<char>(value));
  return text;
}

std::string read_whole(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

class Folder : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::temp_directory_path() / ("nautile_events_" + std::to_string(getpid()));
    fs::create_directories(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }
  fs::path folder_;
};
using EventFiles = Folder;
using Metrics = Folder;

TEST(Crc32c, KnownValues) {
  EXPECT_EQ(crc32c("123456789"), 0xE3069283u);            // RFC 3720 and others
  EXPECT_EQ(crc32c(std::string(32, '\0')), 0x8A9136AAu);  // RFC 3720 B.4
  EXPECT_EQ(crc32c(std::string(32, '\xFF')), 0x62A8AB43u);
}

// As the tensorboard package's writer has it: wall_time 1.5, step 300, tag "a", value 2.
TEST_F(EventFiles, BytesOfAnEvent) {
  const EventFile::Scalar scalar{"a", 2.0f};
  const std::string event = EventFile::scalars_event(300, 1.5, {&scalar, 1});
  const std::string value = bytes({0x0A, 1, 'a', 0x15, 0, 0, 0, 0x40});
  EXPECT_EQ(
      event,
      bytes({0x09, 0, 0, 0, 0, 0, 0, 0xF8, 0x3F, 0x10, 0xAC, 0x02, 0x2A, 10, 0x0A, 8}) + value);
  const std::string record = EventFile::record(event);
  ASSERT_EQ(record.size(), 8 + 4 + event.size() + 4);
  EXPECT_EQ(record.substr(0, 8), bytes({static_cast<int>(event.size()), 0, 0, 0, 0, 0, 0, 0}));
  EXPECT_EQ(record.substr(12, event.size()), event);
}

// The first record of a file that TensorFlow wrote (its length is 24): length, then the masked
// checksum of the length, which is the same in every such file.
TEST_F(EventFiles, ChecksumOfALength) {
  EXPECT_EQ(EventFile::record(std::string(24, 'x')).substr(0, 12),
            bytes({0x18, 0, 0, 0, 0, 0, 0, 0, 0xA3, 0x7F, 0x4B, 0x22}));
}

TEST_F(EventFiles, BeginWithTheirVersion) {
  EventFile file(folder_.string(), 5);
  const EventFile::Scalar scalar{"loss/main", 1.0f};
  file.add(5, 1.0, {&scalar, 1});
  const std::string text = read_whole(file.path());
  EXPECT_NE(text.find("brain.Event:2"), text.npos);
  EXPECT_NE(text.find("loss/main"), text.npos);
  EXPECT_EQ(fs::path(file.path()).filename().string().rfind("events.out.tfevents.", 0), 0u);
}

StepRecord record_of(std::int64_t step) {
  StepRecord record;
  record.report.step = step;
  record.report.loss = 2.5;
  record.scores = {{"books", 100 * std::log(2.0), 40, 50, {}}};
  return record;
}

TEST_F(Metrics, ResumedRunsSayEachStepOnce) {
  for (const std::int64_t done : {0, 2}) {
    MetricsLog log(folder_.string(), done, Recipe::EventFiles::no);
    for (std::int64_t step = done + 1; step <= 4; ++step) log.add(record_of(step));
  }
  const std::string path = (folder_ / "metrics.jsonl").string();
  std::ofstream(path, std::ios::app) << "{\"step\": 5, \"lo";  // cut by a crash
  MetricsLog log(folder_.string(), 4, Recipe::EventFiles::no);
  std::ifstream file(path);
  std::int64_t step = 0;
  for (std::string line; std::getline(file, line);) {
    const nlohmann::json json = parse_json(line, path);
    EXPECT_EQ(json["step"], ++step);
    EXPECT_DOUBLE_EQ(json["held_out"]["books"]["bits_per_byte"].get<double>(), 2.0);
  }
  EXPECT_EQ(step, 4);
}

TEST(SpikeWatch, LeapsAndNoNumbers) {
  SpikeWatch watch(2);
  EXPECT_TRUE(watch.leaps(std::nan("")));
  for (int i = 0; i < 50; ++i) {
    EXPECT_FALSE(watch.leaps(100)) << i;  // the first steps have nothing to compare with
    watch.add(3);
  }
  EXPECT_FALSE(watch.leaps(5.9));
  EXPECT_TRUE(watch.leaps(6.1));
  EXPECT_FALSE(SpikeWatch(0).leaps(1e9));
  SpikeWatch copy(2);
  copy.set(watch.mean(), watch.seen());
  EXPECT_TRUE(copy.leaps(6.1));
}

}  // namespace
}  // namespace nautile::train
