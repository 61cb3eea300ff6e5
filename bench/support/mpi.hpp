// Boost.MPI as a contestant: mpi_peers.cpp, run by mpirun for each measurement, so that it takes turns with the others.
#pragma once

#include <support/contest.hpp>

#include <string>

namespace bench {

/// Adds Boost.MPI with `chunk` tasks a message, `count` in all, to `into`; `what` as mpi_peers.cpp calls it. Left out
/// where Boost.MPI or mpirun is not installed.
void add_boost_mpi(contest& into, const std::string& what, int chunk, int count);

}  // namespace bench
