// mpi.cpp — processes that mpirun has started, over MPI.
#include <mpi.h>
#include <sched.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <fstream>
#include <thread>

#include "base/error.h"
#include "comm/comm.h"

namespace nautile {
namespace {

using Clock = std::chrono::steady_clock;
using Seconds = std::chrono::duration<double>;

// MPI counts bytes in an int.
constexpr std::size_t kMostBytes = std::size_t{1} << 30;
constexpr int kTag = 1;
constexpr int kFailedTag = 2;  // of empty messages: the sender fails and tells why
// How long a wait polls before it sleeps between looks: ranks may share cores.
constexpr Seconds kPoll{0.002};
constexpr std::chrono::microseconds kSleep{50};
// How often a wait looks whether the others are still there. mpirun ends all within two seconds of
// a rank's death; the story is to be told before.
constexpr Seconds kLook{0.2};
// How long a rank that fails lets each lower one speak first.
constexpr Seconds kTurn{0.5};
constexpr int kMostTurns = 6;

void check(int code, const char* what) {
  if (code == MPI_SUCCESS) return;
  std::array<char, MPI_MAX_ERROR_STRING> text{};
  int length = 0;
  MPI_Error_string(code, text.data(), &length);
  fail(ErrorKind::failure, "MPI: {}: {}", what, text.data());
}

// Where a rank runs.
struct Place {
  std::array<char, 256> host{};
  pid_t process = 0;
};

// The letter that the kernel gives a process's state, ' ' if there is no such process.
char state_of(pid_t process) {
  std::ifstream file(fmt::format("/proc/{}/stat", process));
  std::string line;
  std::getline(file, line);
  const std::size_t end = line.rfind(") ");
  return end == line.npos || end + 2 >= line.size() ? ' ' : line[end + 2];
}

bool is_gone(pid_t process) {
  if (::kill(process, 0) != 0 && errno == ESRCH) return true;
  const char state = state_of(process);
  return state == 'Z' || state == 'X';
}

class MpiComm final : public Comm {
 public:
  MpiComm() {
    int given = 0;
    check(MPI_Init_thread(nullptr, nullptr, MPI_THREAD_FUNNELED, &given), "cannot begin");
    MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
    check(MPI_Comm_rank(MPI_COMM_WORLD, &rank_), "rank");
    check(MPI_Comm_size(MPI_COMM_WORLD, &size_), "size");
    places_.resize(static_cast<std::size_t>(size_));
    watched_.resize(places_.size());
    Place mine;
    ::gethostname(mine.host.data(), mine.host.size() - 1);
    mine.process = ::getpid();
    places_ = Comm::all_gather(mine);
    // Only those that can be seen now are watched: containers may share a host's name.
    for (std::size_t r = 0; r < places_.size(); ++r) {
      watched_[r] = places_[r].host == mine.host && places_[r].process != mine.process &&
                    !is_gone(places_[r].process);
    }
    share_word();
  }

  int rank() const override { return rank_; }
  int size() const override { return size_; }

  void exchange(std::span<const Send> sends, std::span<const Receive> receives) override {
    for (const Receive& r : receives) {
      if (r.from == rank_) continue;
      for (std::size_t at = 0; at < r.bytes.size(); at += kMostBytes) {
        const auto piece = r.bytes.subspan(at, std::min(kMostBytes, r.bytes.size() - at));
        check(MPI_Irecv(piece.data(), static_cast<int>(piece.size()), MPI_BYTE, r.from, kTag,
                        MPI_COMM_WORLD, add_request(r.from)),
              "cannot receive");
      }
    }
    for (const Send& s : sends) {
      if (s.to == rank_) continue;
      for (std::size_t at = 0; at < s.bytes.size(); at += kMostBytes) {
        const auto piece = s.bytes.subspan(at, std::min(kMostBytes, s.bytes.size() - at));
        check(MPI_Isend(piece.data(), static_cast<int>(piece.size()), MPI_BYTE, s.to, kTag,
                        MPI_COMM_WORLD, add_request(s.to)),
              "cannot send");
      }
    }
    copy_own(sends, receives);
    wait();
  }

  void finish() override {
    check(MPI_Win_free(&window_), "cannot end");
    check(MPI_Finalize(), "cannot end");
  }

  [[noreturn]] void fail(int code, const std::function<void()>& tell) override {
    int before = 0;  // ranks that may fail, too, and tell
    for (int r = 0; r < rank_; ++r) before += is_alive(static_cast<std::size_t>(r));
    const Seconds courtesy = std::min(before, kMostTurns) * kTurn;
    for (const auto begin = Clock::now(); Clock::now() - begin < courtesy && !other_failed();)
      std::this_thread::sleep_for(kTurn / 10);
    if (!take_word()) {  // the one that has it ends all; if it cannot, this one ends by itself
      std::this_thread::sleep_for(std::chrono::seconds(10));
      std::_Exit(code);
    }
    tell();
    std::vector<MPI_Request> notices(static_cast<std::size_t>(size_), MPI_REQUEST_NULL);
    for (int r = 0; r < size_; ++r) {
      MPI_Request* notice = &notices[static_cast<std::size_t>(r)];
      if (r != rank_) MPI_Isend(nullptr, 0, MPI_BYTE, r, kFailedTag, MPI_COMM_WORLD, notice);
    }
    // They are on their way when they are complete; a rank that is gone takes none.
    for (const auto begin = Clock::now(); Clock::now() - begin < kTurn;) {
      int done = 0;
      MPI_Testall(size_, notices.data(), &done, MPI_STATUSES_IGNORE);
      if (done) break;
    }
    MPI_Abort(MPI_COMM_WORLD, code);
    std::_Exit(code);
  }

 private:
  MPI_Request* add_request(int peer) {
    peers_.push_back(peer);
    return &requests_.emplace_back(MPI_REQUEST_NULL);
  }

  void copy_own(std::span<const Send> sends, std::span<const Receive> receives) const {
    auto receive = receives.begin();
    for (const Send& s : sends) {
      if (s.to != rank_) continue;
      while (receive != receives.end() && receive->from != rank_) ++receive;
      NAUTILE_ASSERT(receive != receives.end() && receive->bytes.size() == s.bytes.size(),
                     "rank {} sends {} bytes to itself and does not receive them", rank_,
                     s.bytes.size());
      if (!s.bytes.empty()) std::memmove(receive->bytes.data(), s.bytes.data(), s.bytes.size());
      ++receive;
    }
  }

  void wait() {
    const auto begin = Clock::now();
    auto look = begin + std::chrono::duration_cast<Clock::duration>(kLook);
    for (;;) {
      int done = 0;
      check(MPI_Testall(static_cast<int>(requests_.size()), requests_.data(), &done,
                        MPI_STATUSES_IGNORE),
            "a message failed");
      if (done) break;
      const auto now = Clock::now();
      if (now - begin < kPoll) {
        sched_yield();
        continue;
      }
      std::this_thread::sleep_for(kSleep);
      if (now < look) continue;
      look = now + std::chrono::duration_cast<Clock::duration>(kLook);
      look_around();
      if (now - begin > Seconds(patience())) give_up();
    }
    requests_.clear();
    peers_.clear();
  }

  std::string name_of(std::size_t rank) const {
    return fmt::format("rank {} (process {} on {})", rank, places_[rank].process,
                       places_[rank].host.data());
  }

  bool is_alive(std::size_t rank) const {
    return !watched_[rank] || !is_gone(places_[rank].process);
  }

  // A number that the ranks of one host share: 1 once one of them has the word.
  void share_word() {
    MPI_Comm host = MPI_COMM_NULL;
    check(MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, rank_, MPI_INFO_NULL, &host),
          "ranks of one host");
    int on_host = 0;
    MPI_Comm_rank(host, &on_host);
    void* own = nullptr;
    const MPI_Aint bytes = on_host == 0 ? sizeof(int) : 0;
    check(MPI_Win_allocate_shared(bytes, sizeof(int), MPI_INFO_NULL, host, &own, &window_),
          "shared memory");
    MPI_Aint size = 0;
    int unit = 0;
    check(MPI_Win_shared_query(window_, 0, &size, &unit, &word_), "shared memory");
    if (on_host == 0) std::atomic_ref(*word_).store(0);
    MPI_Barrier(host);
    MPI_Comm_free(&host);
  }

  // Whether this rank is the one to tell: no other has failed, and of those of this host that fail
  // at one time, one.
  bool take_word() const { return !other_failed() && std::atomic_ref(*word_).exchange(1) == 0; }

  bool other_failed() const {
    if (std::atomic_ref(*word_).load() != 0) return true;
    int there = 0;
    MPI_Iprobe(MPI_ANY_SOURCE, kFailedTag, MPI_COMM_WORLD, &there, MPI_STATUS_IGNORE);
    return there != 0;
  }

  void look_around() const {
    for (std::size_t r = 0; r < watched_.size(); ++r) {
      const bool gone = !is_alive(r);
      if (other_failed()) throw OtherRankFailed();  // asked after it has ended, if it has
      if (!gone) continue;
      throw make_error(ErrorKind::failure, "{} is gone: it was killed, or it crashed", name_of(r))
          .hint("`--resume` goes on from the last checkpoint, with any number of processes");
    }
  }

  [[noreturn]] void give_up() {
    std::string silent;
    std::vector<bool> named(static_cast<std::size_t>(size_));
    for (std::size_t i = 0; i < requests_.size(); ++i) {
      const auto peer = static_cast<std::size_t>(peers_[i]);
      int done = 0;
      MPI_Status status;
      MPI_Request_get_status(requests_[i], &done, &status);
      if (done || named[peer]) continue;
      named[peer] = true;
      silent += (silent.empty() ? "" : ", ") + name_of(peer);
      if (watched_[peer] && state_of(places_[peer].process) == 'T') silent += ", which is stopped,";
    }
    throw make_error(ErrorKind::failure, "no answer from {} for {:.0f} s", silent, patience())
        .hint("parallel.timeout says how long to wait");
  }

  int rank_ = 0, size_ = 1;
  std::vector<Place> places_;
  std::vector<bool> watched_;
  MPI_Win window_ = MPI_WIN_NULL;
  int* word_ = nullptr;  // in the window
  // Of the exchange that runs.
  std::vector<MPI_Request> requests_;
  std::vector<int> peers_;
};

}  // namespace

std::unique_ptr<Comm> make_mpi_comm() {
  return std::make_unique<MpiComm>();
}

}  // namespace nautile
