// name_list.h — NameList: many names in one error message, capped, with their count.
#pragma once

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

namespace nautile::store {

class NameList {
 public:
  void add(std::string line) {
    ++count_;
    if (lines_.size() < kShown) lines_.push_back(std::move(line));
  }
  std::size_t count() const { return count_; }
  bool empty() const { return count_ == 0; }

  // The shown lines, each indented on its own line, and how many more there are.
  std::string str() const {
    std::string text;
    for (const std::string& line : lines_) text += "\n      " + line;
    if (count_ > lines_.size())
      text += "\n      … and " + std::to_string(count_ - lines_.size()) + " more";
    return text;
  }

 private:
  static constexpr std::size_t kShown = 20;
  std::vector<std::string> lines_;
  std::size_t count_ = 0;
};

}  // namespace nautile::store
