// comm.cpp — collectives, and the process that is alone.
#include "comm/comm.h"

#include <cstdlib>
#include <cstring>
#include <numeric>

#include "base/error.h"

namespace nautile {

void Comm::barrier() {
  all_gather(rank());
}

std::string Comm::broadcast(const std::string& text) {
  const std::uint64_t size_here = is_root() ? text.size() : 0;
  std::string all(all_gather(size_here)[0], '\0');
  std::vector<Send> sends;
  for (int r = 1; is_root() && r < size(); ++r)
    sends.push_back({r, std::as_bytes(std::span(text))});
  const Receive receive{0, std::as_writable_bytes(std::span(all))};
  exchange(sends, is_root() ? std::span<const Receive>() : std::span(&receive, 1));
  return is_root() ? text : all;
}

void Comm::all_gather(std::span<const std::byte> mine, std::span<const std::size_t> counts,
                      std::span<std::byte> all) {
  std::vector<Send> sends;
  std::vector<Receive> receives;
  std::size_t at = 0;
  for (int r = 0; r < size(); ++r) {
    const std::size_t count = counts[static_cast<std::size_t>(r)];
    sends.push_back({r, mine});
    receives.push_back({r, all.subspan(at, count)});
    at += count;
  }
  exchange(sends, receives);
}

void Comm::all_to_all(int first, std::span<const std::byte> send,
                      std::span<const std::size_t> send_counts, std::span<std::byte> receive,
                      std::span<const std::size_t> receive_counts) {
  std::vector<Send> sends;
  std::vector<Receive> receives;
  std::size_t from = 0, to = 0;
  for (std::size_t r = 0; r < send_counts.size(); ++r) {
    sends.push_back({first + static_cast<int>(r), send.subspan(from, send_counts[r])});
    receives.push_back({first + static_cast<int>(r), receive.subspan(to, receive_counts[r])});
    from += send_counts[r];
    to += receive_counts[r];
  }
  exchange(sends, receives);
}

void Comm::sum(std::span<std::int64_t> counts) {
  std::vector<std::int64_t> all(counts.size() * static_cast<std::size_t>(size()));
  const std::vector<std::size_t> bytes(static_cast<std::size_t>(size()), counts.size_bytes());
  all_gather(std::as_bytes(counts), bytes, std::as_writable_bytes(std::span(all)));
  std::fill(counts.begin(), counts.end(), 0);
  for (std::size_t i = 0; i < all.size(); ++i) counts[i % counts.size()] += all[i];
}

void LocalComm::exchange(std::span<const Send> sends, std::span<const Receive> receives) {
  NAUTILE_ASSERT(sends.size() == receives.size(), "{} sent, {} received", sends.size(),
                 receives.size());
  for (std::size_t i = 0; i < sends.size(); ++i) {
    NAUTILE_ASSERT(sends[i].to == 0 && receives[i].from == 0 &&
                       sends[i].bytes.size() == receives[i].bytes.size(),
                   "message {} of one process: {} bytes sent, {} received", i,
                   sends[i].bytes.size(), receives[i].bytes.size());
    if (!sends[i].bytes.empty())
      std::memmove(receives[i].bytes.data(), sends[i].bytes.data(), sends[i].bytes.size());
  }
}

void LocalComm::fail(int code, const std::function<void()>& tell) {
  tell();
  std::_Exit(code);
}

}  // namespace nautile
