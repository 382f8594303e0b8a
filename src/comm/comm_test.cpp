// Collectives over one process and over threads; tests/mpi_test.cpp runs them over MPI.
#include <gtest/gtest.h>

#include "comm/comm_check.h"
#include "comm/comm_testing.h"

namespace nautile {
namespace {

TEST(Comm, OneProcess) {
  LocalComm comm;
  EXPECT_TRUE(comm.is_root());
  check_collectives(comm);
}

TEST(Comm, RanksThatAreThreads) {
  for (const int ranks : {1, 2, 3, 4, 7}) run_ranks(ranks, check_collectives);
}

TEST(Comm, ARankThatFailsEndsTheOthers) {
  const auto body = [](Comm& comm) {
    if (comm.rank() == 1) fail(ErrorKind::bad_input, "a bad batch");
    comm.barrier();
    FAIL() << "the barrier let rank " << comm.rank() << " through";
  };
  try {
    run_ranks(3, body);
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.message(), "a bad batch");
  }
}

}  // namespace
}  // namespace nautile
