// shape.h — Shape: up to four extents, outermost first (PyTorch order, the last one contiguous).
#pragma once

#include <fmt/format.h>

#include <array>
#include <cstdint>
#include <initializer_list>
#include <string>

#include "base/error.h"

namespace nautile {

class Shape {
 public:
  static constexpr int kMaxRank = 4;

  Shape() = default;
  Shape(std::initializer_list<std::int64_t> extents) {
    NAUTILE_ASSERT(extents.size() <= kMaxRank, "rank {}", extents.size());
    for (std::int64_t extent : extents) extents_[static_cast<std::size_t>(rank_++)] = extent;
  }

  void push_back(std::int64_t extent) {
    NAUTILE_ASSERT(rank_ < kMaxRank, "rank {}", rank_ + 1);
    extents_[static_cast<std::size_t>(rank_++)] = extent;
  }

  int rank() const { return rank_; }
  std::int64_t operator[](int i) const { return extents_[static_cast<std::size_t>(i)]; }
  std::int64_t elements() const {
    std::int64_t product = 1;
    for (int i = 0; i < rank_; ++i) product *= (*this)[i];
    return product;
  }
  // A matrix view: all leading extents together, and the last.
  std::int64_t cols() const { return rank_ ? (*this)[rank_ - 1] : 1; }
  std::int64_t rows() const { return cols() ? elements() / cols() : 0; }

  bool operator==(const Shape&) const = default;

  std::string str() const {
    std::string text = "[";
    for (int i = 0; i < rank_; ++i) text += fmt::format("{}{}", i ? ", " : "", (*this)[i]);
    return text + "]";
  }

 private:
  std::array<std::int64_t, kMaxRank> extents_{};
  int rank_ = 0;
};

}  // namespace nautile

template <>
struct fmt::formatter<nautile::Shape> : fmt::formatter<std::string> {
  template <class Context>
  auto format(const nautile::Shape& shape, Context& context) const {
    return fmt::formatter<std::string>::format(shape.str(), context);
  }
};
