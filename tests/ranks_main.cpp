// ranks_main.cpp — a program that tests start with mpirun: collectives, and ranks that fail.
//
//   ranks check          every collective
//   ranks silent N       rank N does not come; the others wait two seconds for it
//   ranks fail N [N…]    ranks N fail at once, with an error
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <string>
#include <thread>
#include <vector>

#include "comm/comm_check.h"

int main(int argc, char** argv) {
  using namespace nautile;
  const std::string what = argc > 1 ? argv[1] : "check";
  std::vector<int> ranks;
  for (int i = 2; i < argc; ++i) ranks.push_back(std::stoi(argv[i]));
  std::unique_ptr<Comm> comm;
  try {
    comm = make_mpi_comm();
  } catch (const Error& error) {
    fmt::print(stderr, "{}\n", error.what());
    return 5;
  }
  const bool named = std::find(ranks.begin(), ranks.end(), comm->rank()) != ranks.end();
  try {
    check_collectives(*comm);
    if (what == "silent") {
      comm->set_patience(2);
      if (named) std::this_thread::sleep_for(std::chrono::seconds(20));
    }
    if (what == "fail" && named) fail(ErrorKind::bad_input, "a batch of rank {}", comm->rank());
    comm->barrier();
    if (comm->is_root()) fmt::print("{} ranks\n", comm->size());
    comm->finish();
    return 0;
  } catch (const OtherRankFailed&) {
    comm->fail(3, [] {});
  } catch (const Error& error) {
    comm->fail(3, [&] { fmt::print(stderr, "told: {}\n", error.what()); });
  }
}
