// P6: results that are more than a number. Boost.MPI and Python are measured by mpi_peers.cpp and python_peers.py.
#include <support/contest.hpp>
#include <support/results.hpp>

#include <lenskit/parallel.hpp>

#include <boost/serialization/map.hpp>
#include <boost/serialization/string.hpp>
#include <boost/serialization/vector.hpp>

#include <cstring>
#include <ranges>
#include <string>

namespace {

struct no_model {};

void measure(const char* what, auto make) {
  const int count = bench::sized(400'000, 100'000);
  lenskit::invoker pool(
      no_model{}, [make](const no_model&, int x) { return make(x); }, bench::workers);
  bench::contest contest("P6", what, "tasks/s");
  contest.add("lenskit", [&] {
    return count / bench::seconds_of([&] {
             for (const auto& each : pool.map(std::views::iota(0, count))) bench::keep(each);
           });
  });
  contest.run();
}

// What a program that knows only this one type would do.
void copy_by_hand(std::vector<std::byte>& buffer, const bench::pairs& from, bench::pairs& into) {
  const std::uint64_t count = from.size();
  buffer.resize(sizeof count + count * sizeof from[0]);
  std::memcpy(buffer.data(), &count, sizeof count);
  std::memcpy(buffer.data() + sizeof count, from.data(), count * sizeof from[0]);
  bench::keep(buffer.data());
  std::uint64_t got = 0;
  std::memcpy(&got, buffer.data(), sizeof got);
  into.resize(got);
  std::memcpy(static_cast<void*>(into.data()), buffer.data() + sizeof got, got * sizeof into[0]);
}

double ns_of(auto&& once) {
  constexpr int times = 200'000;
  return 1e9 / times * bench::seconds_of([&] {
           for (int i = 0; i < times; ++i) once();
         });
}

void compare_codec() {
  const auto from = bench::make_pairs(1);
  bench::contest contest("P6", "100 pairs to bytes and back", "ns");
  contest.add("codec", [&, out = std::make_shared<lenskit::detail::writer>()] {
    return ns_of([&] {
      out->clear();
      lenskit::detail::encode(*out, from);
      lenskit::detail::reader in(std::span<const std::byte>(out->data(), out->size()));
      bench::keep(lenskit::detail::decode<bench::pairs>(in).data());
    });
  });
  contest.add("memcpy by hand", [&, buffer = std::vector<std::byte>()]() mutable {
    return ns_of([&] {
      bench::pairs into;
      copy_by_hand(buffer, from, into);
      bench::keep(into.data());
    });
  });
  contest.run();
}

}  // namespace

int main(int argc, char** argv) {
  bench::initialize(argc, argv);
  measure("100 pairs", bench::make_pairs);
  measure("string", bench::make_string);
  measure("map", bench::make_map);
  measure("nested aggregates", bench::make_lists);
  compare_codec();
}
