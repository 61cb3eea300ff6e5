// Boost.MPI for T1 and T6: rank 0 sends chunks to the other ranks, two ahead of each, and takes their results in order.
// Run by mpirun with one process more than there are workers, for one measurement.
#include <support/contest.hpp>
#include <support/results.hpp>

#include <boost/mpi/communicator.hpp>
#include <boost/mpi/environment.hpp>
#include <boost/serialization/map.hpp>
#include <boost/serialization/string.hpp>
#include <boost/serialization/utility.hpp>
#include <boost/serialization/vector.hpp>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>
#include <deque>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <vector>

namespace {

namespace mpi = boost::mpi;
constexpr int tag = 1;

// Numbers travel as they are, other results in Boost.MPI's packed archive.
template <class R>
constexpr bool as_they_are = std::is_arithmetic_v<R>;

template <class Make>
void serve(mpi::communicator& world, int chunk, Make make) {
  using result = decltype(make(0));
  std::vector<int> tasks(static_cast<std::size_t>(chunk));
  std::vector<result> results;
  std::deque<mpi::request> sending;
  for (;;) {
    const auto status = world.recv(0, tag, tasks.data(), chunk);
    const auto count = *status.template count<int>();
    if (count == 0) return;
    results.resize(static_cast<std::size_t>(count));
    std::transform(tasks.begin(), tasks.begin() + count, results.begin(), make);
    if constexpr (as_they_are<result>) {
      world.send(0, tag, results.data(), count);
    } else {
      world.send(0, tag, results);
    }
  }
}

template <class R, class Take>
void farm(mpi::communicator& world, int count, int chunk, Take take) {
  const int members = world.size() - 1;
  const int chunks = (count + chunk - 1) / chunk;
  const int ahead = 2 * members;
  const auto rank_of = [&](int index) { return 1 + index % members; };
  const auto length = [&](int index) { return std::min(chunk, count - index * chunk); };
  std::vector<int> tasks(static_cast<std::size_t>(chunk));
  std::vector<R> results(static_cast<std::size_t>(chunk));
  const auto send = [&](int index) {
    for (int i = 0; i < length(index); ++i) tasks[static_cast<std::size_t>(i)] = index * chunk + i;
    world.send(rank_of(index), tag, tasks.data(), length(index));
  };
  for (int index = 0; index < std::min(ahead, chunks); ++index) send(index);
  for (int index = 0; index < chunks; ++index) {
    if constexpr (as_they_are<R>) {
      world.recv(rank_of(index), tag, results.data(), length(index));
    } else {
      world.recv(rank_of(index), tag, results);
    }
    if (index + ahead < chunks) send(index + ahead);
    for (int i = 0; i < length(index); ++i) take(results[static_cast<std::size_t>(i)]);
  }
}

// Prints tasks a second.
template <class Make>
void measure(mpi::communicator& world, int count, int chunk, Make make) {
  using result = decltype(make(0));
  const auto run = [&](int tasks) {
    if (world.rank() != 0) {
      serve(world, chunk, make);
      return 0.0;
    }
    int taken = 0;
    const auto seconds = bench::seconds_of([&] {
      farm<result>(world, tasks, chunk, [&](const result& each) {
        bench::keep(each);
        ++taken;
      });
    });
    for (int rank = 1; rank < world.size(); ++rank) world.send(rank, tag, &taken, 0);
    if (taken != tasks) throw std::runtime_error("results are missing");
    return tasks / seconds;
  };
  constexpr int part_to_warm_up = 4;
  run(count / part_to_warm_up);
  const auto rate = run(count);
  if (world.rank() == 0) std::printf("%.9g\n", rate);
}

}  // namespace

int main(int argc, char** argv) {
  const mpi::environment environment(argc, argv);
  mpi::communicator world;
  if (argc != 4) throw std::invalid_argument("expected: a case, tasks a message, tasks in all");
  const std::string what = argv[1];
  const int chunk = std::stoi(argv[2]);
  const int count = std::stoi(argv[3]);
  if (what == "empty tasks") {
    measure(world, count, chunk, [](int x) { return x; });
  } else if (what == "100 pairs") {
    measure(world, count, chunk, bench::make_pairs);
  } else if (what == "string") {
    measure(world, count, chunk, bench::make_string);
  } else if (what == "map") {
    measure(world, count, chunk, bench::make_map);
  } else if (what == "nested aggregates") {
    measure(world, count, chunk, bench::make_lists);
  } else {
    throw std::invalid_argument("no such case: " + what);
  }
}
