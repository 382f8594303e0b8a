// comm.h — Comm: what processes that train one model together tell one another.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

namespace nautile {

// Another rank has failed and has said why: what is left is to end without a word.
struct OtherRankFailed {};

// Ranks 0 … size−1 run the same program. All make the same calls in the same order; one that does
// not come is an Error in the others.
class Comm {
 public:
  virtual ~Comm() = default;

  virtual int rank() const = 0;
  virtual int size() const = 0;
  bool is_root() const { return rank() == 0; }

  struct Send {
    int to = 0;
    std::span<const std::byte> bytes;
  };
  struct Receive {
    int from = 0;
    std::span<std::byte> bytes;
  };
  // The one way in which bytes move; returns when all have arrived. Messages of a pair of ranks
  // come in the order in which both list them, and their sizes agree; empty ones are not sent. A
  // rank may send to itself. Throws Error(failure) naming the rank that is gone, or does not answer
  // for `patience` seconds; OtherRankFailed.
  virtual void exchange(std::span<const Send> sends, std::span<const Receive> receives) = 0;

  // The end that all reach together; nothing may be exchanged after it.
  virtual void finish() = 0;
  // Ends all processes with this exit code, after an error here. `tell` says what it was; where
  // several ranks fail, the lowest of them tells and the others are silent.
  [[noreturn]] virtual void fail(int code, const std::function<void()>& tell) = 0;

  double patience() const { return patience_; }
  void set_patience(double seconds) { patience_ = seconds; }

  // --- made of exchange ---

  // Returns when all have called it.
  void barrier();
  // The root's text, on all.
  std::string broadcast(const std::string& text);
  // Everyone's bytes, one after the other by rank; counts[r] bytes are rank r's.
  void all_gather(std::span<const std::byte> mine, std::span<const std::size_t> counts,
                  std::span<std::byte> all);
  // send holds send_counts[r] bytes for rank first + r, one after the other; receive likewise.
  // Ranks [first, first + counts.size()) take part.
  void all_to_all(int first, std::span<const std::byte> send,
                  std::span<const std::size_t> send_counts, std::span<std::byte> receive,
                  std::span<const std::size_t> receive_counts);
  // Adds up everyone's whole numbers, in place.
  void sum(std::span<std::int64_t> counts);
  // One value of everyone, by rank.
  template <class T>
  std::vector<T> all_gather(const T& mine) {
    static_assert(std::is_trivially_copyable_v<T>);
    std::vector<T> all(static_cast<std::size_t>(size()));
    const std::vector<std::size_t> counts(all.size(), sizeof(T));
    all_gather(std::as_bytes(std::span(&mine, 1)), counts, std::as_writable_bytes(std::span(all)));
    return all;
  }

 private:
  double patience_ = 600;
};

// One process alone.
class LocalComm final : public Comm {
 public:
  int rank() const override { return 0; }
  int size() const override { return 1; }
  void exchange(std::span<const Send> sends, std::span<const Receive> receives) override;
  void finish() override {}
  [[noreturn]] void fail(int code, const std::function<void()>& tell) override;
};

// The processes that mpirun has started. To be called once, by the thread that will exchange.
// Throws Error(unsupported), saying how to build it, where nautile was built without MPI.
std::unique_ptr<Comm> make_mpi_comm();

}  // namespace nautile
