// json_log.h — JsonLog: one JSON object a line, of what happens to requests and to the server.
#pragma once

#include <mutex>
#include <nlohmann/json.hpp>
#include <string_view>

namespace nautile::server {

// Safe for concurrent use. A line is one write; what cannot be written is lost.
class JsonLog {
 public:
  // To a descriptor that stays open; -1: nowhere.
  explicit JsonLog(int descriptor) : descriptor_(descriptor) {}

  // {"time":"2026-11-28T17:00:00.123Z","event":event, …fields}
  void write(std::string_view event, const nlohmann::ordered_json& fields);

 private:
  int descriptor_;
  std::mutex mutex_;
};

}  // namespace nautile::server
