// P6: results that are more than a number. Boost.MPI and Python are measured by mpi_peers.cpp and python_peers.py.
#include <support/child.hpp>
#include <support/contest.hpp>
#include <support/results.hpp>

#include <lenskit/parallel.hpp>

#include <boost/serialization/map.hpp>
#include <boost/serialization/string.hpp>
#include <boost/serialization/vector.hpp>

#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <ranges>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace {

struct no_model {};

// The limit of what hands results over through the kernel: workers behind bare sockets, which encode and decode as the
// library does, and have no order to restore, nothing to check and nobody to fear for.
template <class Make>
class bare_workers {
 public:
  explicit bare_workers(Make make) : make_(make) {
    for (int i = 0; i < bench::workers; ++i) {
      std::array<int, 2> ends{};
      if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) != 0) bench::fail("socketpair");
      for (const int end : ends) {
        constexpr int room = 1 << 20;
        ::setsockopt(end, SOL_SOCKET, SO_SNDBUF, &room, sizeof room);
      }
      members_.push_back({bench::child([&] {
                            for (const auto& other : members_) ::close(other.fd);
                            ::close(ends[0]);
                            serve(ends[1]);
                          }),
                          ends[0]});
      ::close(ends[1]);
    }
  }
  bare_workers(const bare_workers&) = delete;
  bare_workers& operator=(const bare_workers&) = delete;
  ~bare_workers() {
    for (const auto& each : members_) ::close(each.fd);
  }

  void map(int count, int chunk, auto take) {
    const auto fd_of = [this](int index) { return members_[static_cast<std::size_t>(index) % members_.size()].fd; };
    const int chunks = (count + chunk - 1) / chunk;
    const int ahead = 2 * bench::workers;
    const auto send = [&](int index) {
      const order next{index * chunk, std::min(chunk, count - index * chunk)};
      if (!bench::write_all(fd_of(index), &next, sizeof next)) bench::fail("write");
    };
    std::vector<std::byte> bytes;
    for (int index = 0; index < std::min(ahead, chunks); ++index) send(index);
    for (int index = 0; index < chunks; ++index) {
      std::uint64_t length = 0;
      if (!bench::read_all(fd_of(index), &length, sizeof length)) bench::fail("read");
      if (bytes.size() < length) bytes.resize(length);
      if (!bench::read_all(fd_of(index), bytes.data(), length)) bench::fail("read");
      if (index + ahead < chunks) send(index + ahead);
      lenskit::detail::reader in(std::span<const std::byte>(bytes).first(length));
      while (in.left() > 0) take(lenskit::detail::decode<result>(in));
    }
  }

 private:
  using result = std::invoke_result_t<Make&, int>;
  struct order {
    int first = 0;
    int count = 0;
  };
  struct member {
    bench::child process;
    int fd;
  };

  void serve(int fd) {
    lenskit::detail::writer out;
    order next;
    while (bench::read_all(fd, &next, sizeof next)) {
      out.clear();
      out.put(std::uint64_t{0});
      for (int x = next.first; x < next.first + next.count; ++x) lenskit::detail::encode(out, make_(x));
      const std::uint64_t length = out.size() - sizeof length;
      std::memcpy(out.data(), &length, sizeof length);
      if (!bench::write_all(fd, out.data(), out.size())) return;
    }
  }

  Make make_;
  std::vector<member> members_;
};

void measure(const char* what, auto make) {
  const int count = bench::sized(400'000, 100'000);
  lenskit::invoker pool(
      no_model{}, [make](const no_model&, int x) { return make(x); }, bench::workers);
  bare_workers limit(make);
  bench::contest contest("P6", what, "tasks/s");
  contest.add("lenskit", [&] {
    return count / bench::seconds_of([&] {
             for (const auto& each : pool.map(std::views::iota(0, count))) bench::keep(each);
           });
  });
  for (const int chunk : {64, 512}) {
    contest.add("bare sockets, " + std::to_string(chunk) + " a message", [&, chunk] {
      return count / bench::seconds_of([&] { limit.map(count, chunk, [](const auto& each) { bench::keep(each); }); });
    });
  }
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
