// comm_check.h — what every Comm must do, whatever carries the bytes: run on each rank by tests.
#pragma once

#include <numeric>

#include "base/error.h"
#include "comm/comm.h"

namespace nautile {

// Throws Error saying which call gave what.
inline void check_collectives(Comm& comm) {
  const int rank = comm.rank(), size = comm.size();
  const auto expect = [&](bool holds, const char* what) {
    if (!holds) fail(ErrorKind::failure, "rank {} of {}: {}", rank, size, what);
  };
  const std::vector<int> ranks = comm.all_gather(rank * rank);
  for (int r = 0; r < size; ++r)
    expect(ranks[static_cast<std::size_t>(r)] == r * r, "all_gather of a value");

  // Ragged: rank r has r numbers, the first none.
  std::vector<std::size_t> counts;
  for (int r = 0; r < size; ++r) counts.push_back(static_cast<std::size_t>(r) * sizeof(float));
  const std::vector<float> mine(static_cast<std::size_t>(rank), static_cast<float>(rank));
  std::vector<float> all(static_cast<std::size_t>(size * (size - 1) / 2), -1.0f);
  comm.all_gather(std::as_bytes(std::span(mine)), counts, std::as_writable_bytes(std::span(all)));
  std::size_t at = 0;
  for (int r = 0; r < size; ++r) {
    for (int i = 0; i < r; ++i)
      expect(all[at++] == static_cast<float>(r), "all_gather of ragged numbers");
  }

  // Rank r sends (r + 2·to) % 3 numbers to each, 1000·r + to.
  std::vector<std::size_t> to_counts, from_counts;
  std::vector<std::int64_t> send;
  for (int to = 0; to < size; ++to) {
    const int n = (rank + 2 * to) % 3;
    send.insert(send.end(), static_cast<std::size_t>(n), 1000 * rank + to);
    to_counts.push_back(static_cast<std::size_t>(n) * sizeof(std::int64_t));
    from_counts.push_back(static_cast<std::size_t>((to + 2 * rank) % 3) * sizeof(std::int64_t));
  }
  std::vector<std::int64_t> received(
      std::accumulate(from_counts.begin(), from_counts.end(), std::size_t{0}) / 8);
  comm.all_to_all(0, std::as_bytes(std::span(send)), to_counts,
                  std::as_writable_bytes(std::span(received)), from_counts);
  at = 0;
  for (int from = 0; from < size; ++from) {
    for (int i = 0; i < (from + 2 * rank) % 3; ++i)
      expect(received[at++] == 1000 * from + rank, "all_to_all");
  }

  std::vector<std::int64_t> sums{1, rank, std::int64_t{1} << 40};
  comm.sum(sums);
  expect(sums ==
             std::vector<std::int64_t>{size, size * (size - 1) / 2, (std::int64_t{1} << 40) * size},
         "sum");
  expect(comm.broadcast(rank == 0 ? "from the first" : "from another") == "from the first",
         "broadcast");
  expect(comm.broadcast("").empty(), "broadcast of nothing");

  // Many messages and large ones between a pair keep their order.
  std::vector<std::vector<int>> out(40), in(40);
  std::vector<Comm::Send> sends;
  std::vector<Comm::Receive> receives;
  const int next = (rank + 1) % size, before = (rank + size - 1) % size;
  for (std::size_t i = 0; i < out.size(); ++i) {
    out[i].assign(1 + i * i * 500, rank * 100 + static_cast<int>(i));
    in[i].resize(out[i].size());
    sends.push_back({next, std::as_bytes(std::span(out[i]))});
    receives.push_back({before, std::as_writable_bytes(std::span(in[i]))});
  }
  comm.exchange(sends, receives);
  for (std::size_t i = 0; i < in.size(); ++i) {
    for (const int value : in[i])
      expect(value == before * 100 + static_cast<int>(i), "order of messages");
  }
  comm.barrier();
}

}  // namespace nautile
