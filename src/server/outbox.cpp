#include "server/outbox.h"

#include <utility>

namespace nautile::server {

Outbox::Pushed Outbox::push(std::string_view bytes, Bound bound) {
  const std::lock_guard lock(mutex_);
  if (shut_) return Pushed::shut;
  if (bound == Bound::unread && unsent_ + bytes.size() > unread_bytes_) {
    shut_ = overrun_ = true;
    return Pushed::overrun;
  }
  queued_ += bytes;
  unsent_ += bytes.size();
  return std::exchange(emptying_, true) ? Pushed::behind : Pushed::first;
}

void Outbox::shut() {
  const std::lock_guard lock(mutex_);
  shut_ = true;
}

bool Outbox::is_shut() const {
  const std::lock_guard lock(mutex_);
  return shut_;
}

bool Outbox::overrun() const {
  const std::lock_guard lock(mutex_);
  return overrun_;
}

bool Outbox::emptying() const {
  const std::lock_guard lock(mutex_);
  return emptying_;
}

std::string_view Outbox::next() {
  if (sent_ == sending_.size()) {
    sending_.clear();
    sent_ = 0;
    const std::lock_guard lock(mutex_);
    std::swap(sending_, queued_);
    emptying_ = !sending_.empty();
    // From here on the next emptier may be in.
    if (!emptying_) return {};
  }
  return std::string_view(sending_).substr(sent_);
}

void Outbox::written(std::size_t bytes) {
  sent_ += bytes;
  const std::lock_guard lock(mutex_);
  unsent_ -= bytes;
}

}  // namespace nautile::server
