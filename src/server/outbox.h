// outbox.h — Outbox: what a connection has still to write: filled from any thread, emptied by one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <mutex>
#include <string>
#include <string_view>

namespace nautile::server {

// Bytes in order. Who fills it is told when nobody empties it, and makes somebody do so.
class Outbox {
 public:
  // Bytes that may wait under Bound::unread, those being written included.
  explicit Outbox(std::size_t unread_bytes) : unread_bytes_(unread_bytes) {}

  // From any thread.
  enum class Bound : std::uint8_t { none, unread };
  enum class Pushed : std::uint8_t {
    first,    // taken, and nobody empties: next() is to be called soon
    behind,   // taken, and found by whoever empties
    overrun,  // over the bound: the outbox is shut by that
    shut,     // nothing is taken any more
  };
  Pushed push(std::string_view bytes, Bound bound);
  // Nothing more is taken.
  void shut();
  bool is_shut() const;
  bool overrun() const;
  // From push() to the next() that finds nothing.
  bool emptying() const;

  // From one thread at a time. What to write now, until written() has counted all of it; none: all
  // is written, and who pushes next is told.
  std::string_view next();
  void written(std::size_t bytes);

 private:
  const std::size_t unread_bytes_;
  mutable std::mutex mutex_;  // of the next five
  std::string queued_;
  std::size_t unsent_ = 0;  // bytes queued and being written
  bool emptying_ = false, shut_ = false, overrun_ = false;
  // Of whoever empties.
  std::string sending_;
  std::size_t sent_ = 0;  // of `sending_`
};

}  // namespace nautile::server
