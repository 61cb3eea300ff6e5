// T8: results of 1 to 64 MB, against the ways in which two processes can hand such a block over at all.
#include <support/child.hpp>
#include <support/contest.hpp>

#include <lenskit/detail/wire/crc32c.hpp>
#include <lenskit/detail/wire/frame.hpp>
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

void read_memory(pid_t pid, const std::byte* from, std::byte* into, std::size_t bytes) {
  for (std::size_t at = 0; at < bytes;) {
    const iovec here{into + at, bytes - at};
    const iovec there{const_cast<std::byte*>(from) + at, bytes - at};
    const auto got = ::process_vm_readv(pid, &here, 1, &there, 1, 0);
    if (got <= 0) bench::fail("process_vm_readv");
    at += static_cast<std::size_t>(got);
  }
}

bool receive_from_memory(int fd, pid_t pid, block& into) {
  const std::byte* where = nullptr;
  if (!bench::read_all(fd, &where, sizeof where)) return false;
  read_memory(pid, where, reinterpret_cast<std::byte*>(into.data()), into.size() * sizeof(float));
  return true;
}

// What a pool has to do besides handing bytes over: a value is encoded, its checksum is taken on both sides, and it is
// decoded into a new value.
struct announcement {
  const std::byte* where = nullptr;
  std::uint64_t bytes = 0;
  std::uint32_t checksum = 0;
};

bool announce(int fd, lenskit::detail::writer& out, const block& from) {
  out.clear();
  lenskit::detail::encode(out, from);
  const announcement said{out.data(), out.size(), lenskit::detail::crc32c(out.data(), out.size())};
  return bench::write_all(fd, &said, sizeof said);
}

void open_announced(const announcement& said, const std::byte* bytes, block& into) {
  if (lenskit::detail::crc32c(bytes, said.bytes) != said.checksum) throw std::runtime_error("a checksum is wrong");
  lenskit::detail::reader in(bytes, said.bytes);
  into = lenskit::detail::decode<block>(in);
}

way checked_socketpair() {
  const auto out = std::make_shared<lenskit::detail::writer>();
  const auto in = std::make_shared<lenskit::detail::byte_buffer>();
  return {"socketpair, encoded and checked", open_socketpair,
          [out](int fd, const block& from) {
            return announce(fd, *out, from) && bench::write_all(fd, out->data(), out->size());
          },
          [in](int fd, pid_t, block& into) {
            announcement said;
            if (!bench::read_all(fd, &said, sizeof said)) return false;
            if (in->size() < said.bytes) *in = lenskit::detail::byte_buffer(said.bytes);
            if (!bench::read_all(fd, in->data(), said.bytes)) return false;
            open_announced(said, in->data(), into);
            return true;
          }};
}

way checked_process_vm_readv() {
  struct two_writers {
    std::array<lenskit::detail::writer, 2> writers;  // what was announced stays until the next wish but one
    std::size_t turn = 0;
  };
  const auto out = std::make_shared<two_writers>();
  const auto in = std::make_shared<lenskit::detail::byte_buffer>();
  return {"process_vm_readv, encoded and checked", open_pipe,
          [out](int fd, const block& from) { return announce(fd, out->writers[out->turn++ % 2], from); },
          [in](int fd, pid_t pid, block& into) {
            announcement said;
            if (!bench::read_all(fd, &said, sizeof said)) return false;
            if (in->size() < said.bytes) *in = lenskit::detail::byte_buffer(said.bytes);
            read_memory(pid, said.where, in->data(), said.bytes);
            open_announced(said, in->data(), into);
            return true;
          }};
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
          {"process_vm_readv", open_pipe, send_address, receive_from_memory},
          checked_socketpair(),
          checked_process_vm_readv()};
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
  bench::contest contest("T8", std::to_string(megabytes) + " MB", "GB/s");
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
