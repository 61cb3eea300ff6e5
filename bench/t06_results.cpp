// T6: results that are more than a number. Python's pools are measured by python_peers.py.
#include <support/child.hpp>
#include <support/contest.hpp>
#include <support/mpi.hpp>
#include <support/results.hpp>

#include <lenskit/detail/wire/crc32c.hpp>
#include <lenskit/parallel.hpp>

#include <boost/serialization/map.hpp>
#include <boost/serialization/string.hpp>
#include <boost/serialization/vector.hpp>

#include <sys/mman.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <ranges>
#include <span>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace {

struct no_model {};

// How much of what a pool owes its users the limit does besides.
enum class care {
  none,    // results are encoded and decoded as the library does it, and that is all
  checked  // each is also kept where it survives its worker, with its length, and messages are summed on both sides
};

// The limit of what hands results over through the kernel: workers behind bare sockets.
template <class Make>
class bare_workers {
 public:
  bare_workers(Make make, care how) : make_(make), care_(how) {
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
      head message;
      if (!bench::read_all(fd_of(index), &message, sizeof message)) bench::fail("read");
      if (bytes.size() < message.bytes) bytes.resize(message.bytes);
      if (!bench::read_all(fd_of(index), bytes.data(), message.bytes)) bench::fail("read");
      if (index + ahead < chunks) send(index + ahead);
      if (sum_of(bytes.data(), message.bytes) != message.sum) throw std::runtime_error("a message is damaged");
      lenskit::detail::reader in(std::span<const std::byte>(bytes).first(message.bytes));
      while (in.left() > 0) take(decode(in));
    }
  }

 private:
  using result = std::invoke_result_t<Make&, int>;
  struct order {
    int first = 0;
    int count = 0;
  };
  struct head {
    std::uint64_t bytes = 0;
    std::uint64_t sum = 0;
  };
  struct member {
    bench::child process;
    int fd;
  };

  void serve(int fd) {
    auto out = care_ == care::checked ? shared_writer() : lenskit::detail::writer();
    order next;
    while (bench::read_all(fd, &next, sizeof next)) {
      out.clear();
      out.put(head{});
      for (int x = next.first; x < next.first + next.count; ++x) encode(out, make_(x));
      const auto bytes = out.size() - sizeof(head);
      const head message{bytes, sum_of(out.data() + sizeof(head), bytes)};
      std::memcpy(out.data(), &message, sizeof message);
      if (!bench::write_all(fd, out.data(), out.size())) return;
    }
  }

  static lenskit::detail::writer shared_writer() {
    constexpr std::size_t room = std::size_t{8} << 20;
    void* where = ::mmap(nullptr, room, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (where == MAP_FAILED) bench::fail("mmap");
    return {static_cast<std::byte*>(where), room};
  }

  [[nodiscard]] std::uint64_t sum_of(const std::byte* bytes, std::size_t count) const {
    return care_ == care::checked ? lenskit::detail::crc32c(bytes, count) : 0;
  }

  void encode(lenskit::detail::writer& out, const result& value) const {
    if (care_ == care::checked) {
      lenskit::detail::encode_result(out, value);
    } else {
      lenskit::detail::encode(out, value);
    }
  }

  result decode(lenskit::detail::reader& in) const {
    if (care_ == care::none) return lenskit::detail::decode<result>(in);
    lenskit::detail::reader one(in.take(in.get<std::uint64_t>("a length"), "a result"));
    return lenskit::detail::decode<result>(one);
  }

  Make make_;
  care care_;
  std::vector<member> members_;
};

void measure(const char* what, auto make) {
  const int count = bench::sized(400'000, 100'000);
  lenskit::invoker pool(
      no_model{}, [make](const no_model&, int x) { return make(x); }, bench::workers);
  bare_workers limit(make, care::none);
  bare_workers checked(make, care::checked);
  bench::contest contest("T6", what, "tasks/s");
  contest.add("lenskit", [&] {
    return count / bench::seconds_of([&] {
             for (const auto& each : pool.map(std::views::iota(0, count))) bench::keep(each);
           });
  });
  const auto add_bare = [&](const std::string& name, auto& workers, std::initializer_list<int> chunks) {
    for (const int chunk : chunks) {
      contest.add(name + ", " + std::to_string(chunk) + " a message", [count, chunk, &workers] {
        return count /
               bench::seconds_of([&] { workers.map(count, chunk, [](const auto& each) { bench::keep(each); }); });
      });
    }
  };
  add_bare("bare sockets", limit, {64, 512});
  add_bare("bare sockets, checked", checked, {256, 2048});
  for (const int chunk : {64, 512}) bench::add_boost_mpi(contest, what, chunk, count / 2);
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
  bench::contest contest("T6", "100 pairs to bytes and back", "ns");
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
