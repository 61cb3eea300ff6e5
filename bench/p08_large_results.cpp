// P8: results of 1 to 64 MB, against the ways in which two processes can hand such a block over at all.
#include <support/child.hpp>
#include <support/contest.hpp>

#include <lenskit/parallel.hpp>

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <functional>
#include <ranges>
#include <stdexcept>
#include <string>
#include <vector>

namespace {

using block = std::vector<float>;

block make_block(std::size_t bytes, int x) { return block(bytes / sizeof(float), static_cast<float>(x)); }

void expect(const block& got, std::size_t bytes, int x) {
  if (got.size() != bytes / sizeof(float) || got.front() != static_cast<float>(x) || got.back() != got.front())
    throw std::runtime_error("a result is wrong");
}

// Where a worker puts a block and the parent gets it from.
struct way {
  std::string name;
  std::function<std::array<int, 2>()> open;  // read end, write end
  std::function<bool(int, const block&)> send;
  std::function<bool(int, pid_t, block&)> receive;
};

std::array<int, 2> open_pipe() {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) bench::fail("pipe");
  constexpr int most = 1 << 20;
  ::fcntl(ends[1], F_SETPIPE_SZ, most);
  return ends;
}

std::array<int, 2> open_socketpair() {
  std::array<int, 2> ends{};
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) != 0) bench::fail("socketpair");
  return ends;
}

bool send_in_slices(int fd, const block& from, std::size_t slice) {
  const auto bytes = std::as_bytes(std::span(from));
  for (std::size_t at = 0; at < bytes.size(); at += slice) {
    if (!bench::write_all(fd, bytes.data() + at, std::min(slice, bytes.size() - at))) return false;
  }
  return true;
}

bool receive_bytes(int fd, pid_t, block& into) { return bench::read_all(fd, into.data(), into.size() * sizeof(float)); }

bool send_address(int fd, const block& from) {
  const auto* where = from.data();
  return bench::write_all(fd, &where, sizeof where);
}

bool receive_from_memory(int fd, pid_t pid, block& into) {
  void* where = nullptr;
  if (!bench::read_all(fd, &where, sizeof where)) return false;
  for (std::size_t at = 0; at < into.size() * sizeof(float);) {
    const auto left = into.size() * sizeof(float) - at;
    const iovec here{reinterpret_cast<std::byte*>(into.data()) + at, left};
    const iovec there{static_cast<std::byte*>(where) + at, left};
    const auto got = ::process_vm_readv(pid, &here, 1, &there, 1, 0);
    if (got <= 0) bench::fail("process_vm_readv");
    at += static_cast<std::size_t>(got);
  }
  return true;
}

std::vector<way> all_ways() {
  constexpr std::size_t page = 4096;
  constexpr std::size_t large = std::size_t{64} << 10;
  const auto in = [](std::size_t slice) {
    return [slice](int fd, const block& from) { return send_in_slices(fd, from, slice); };
  };
  return {{"pipe, slices of 4 KB", open_pipe, in(page), receive_bytes},
          {"pipe, slices of 64 KB", open_pipe, in(large), receive_bytes},
          {"socketpair", open_socketpair, in(large), receive_bytes},
          {"process_vm_readv", open_pipe, send_address, receive_from_memory}};
}

// Workers that make a block whenever a byte says so: the parent asks two blocks ahead, as the library does.
class bare_workers {
 public:
  bare_workers(way how, std::size_t bytes) : how_(std::move(how)), bytes_(bytes) {
    for (int i = 0; i < bench::workers; ++i) {
      const auto wishes = open_pipe();
      const auto results = how_.open();
      members_.push_back({bench::child([&] {
                            for (const auto& other : members_) ::close(other.wishes);
                            ::close(wishes[1]);
                            serve(wishes[0], results[1]);
                          }),
                          wishes[1], results[0]});
      ::close(wishes[0]);
      ::close(results[1]);
    }
  }
  bare_workers(const bare_workers&) = delete;
  bare_workers& operator=(const bare_workers&) = delete;
  ~bare_workers() {
    for (const auto& each : members_) {
      ::close(each.wishes);
      ::close(each.results);
    }
  }

  void fetch(int count) {
    const auto member_of = [this](int i) -> auto& { return members_[static_cast<std::size_t>(i) % members_.size()]; };
    const auto wish = [&](int i) {
      if (!bench::write_all(member_of(i).wishes, &i, sizeof i)) bench::fail("write");
    };
    const int ahead = 2 * bench::workers;
    for (int i = 0; i < std::min(ahead, count); ++i) wish(i);
    for (int i = 0; i < count; ++i) {
      block got(bytes_ / sizeof(float));
      auto& from = member_of(i);
      if (!how_.receive(from.results, from.process.pid(), got)) bench::fail("read");
      if (i + ahead < count) wish(i + ahead);
      expect(got, bytes_, i);
    }
  }

 private:
  struct member {
    bench::child process;
    int wishes;
    int results;
  };

  void serve(int wishes, int results) const {
    std::array<block, 2> made;  // what was sent by address stays until the next wish but one
    int i = 0;
    for (std::size_t turn = 0; bench::read_all(wishes, &i, sizeof i); ++turn) {
      auto& here = made[turn % made.size()];
      here = make_block(bytes_, i);
      if (!how_.send(results, here)) return;
    }
  }

  way how_;
  std::size_t bytes_;
  std::vector<member> members_;
};

void compare(std::size_t megabytes, std::size_t megabytes_in_all) {
  const auto bytes = megabytes << 20;
  const int count = static_cast<int>(megabytes_in_all / megabytes);
  const auto rate_of = [=](auto&& fetch_all) {
    return static_cast<double>(bytes) * count / bench::seconds_of(fetch_all) / 1e9;
  };
  bench::contest contest("P8", std::to_string(megabytes) + " MB", "GB/s");
  std::vector<std::unique_ptr<bare_workers>> limits;
  for (const auto& how : all_ways()) {
    limits.push_back(std::make_unique<bare_workers>(how, bytes));
    contest.add(how.name,
                [&workers = *limits.back(), rate_of, count] { return rate_of([&] { workers.fetch(count); }); });
  }
  const auto fill = [](const std::size_t& size, int x) { return make_block(size, x); };
  lenskit::invoker pool(bytes, fill, bench::workers);
  contest.add("lenskit", [&] {
    return rate_of([&] {
      int x = 0;
      for (const auto& got : pool.map(std::views::iota(0, count))) expect(got, bytes, x++);
    });
  });
  contest.run();
}

}  // namespace

int main(int argc, char** argv) {
  bench::initialize(argc, argv);
  const std::size_t in_all = bench::sized<std::size_t>(512, 256);
  for (const std::size_t megabytes : {1U, 16U, 64U}) compare(megabytes, in_all);
}
