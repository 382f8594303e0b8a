// mpi_absent.cpp — several processes, where nautile was built without MPI: says how to build it.
#include "base/error.h"
#include "comm/comm.h"

namespace nautile {

std::unique_ptr<Comm> make_mpi_comm() {
  throw make_error(ErrorKind::unsupported, "nautile was built without MPI")
      .hint(
          "install Open MPI (apt-get install libopenmpi-dev openmpi-bin), configure again (cmake "
          "--preset release) and build; without mpirun, training runs in one process");
}

}  // namespace nautile
