// The limit of a pool of processes: workers behind bare pipes, without order to restore, failures, types or checks.
#pragma once

#include <support/child.hpp>

#include <fcntl.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <stdexcept>
#include <vector>

namespace bench {

/// Chunks go to the workers in turn, two are on their way to each. `In` and `Out` are copied as bytes.
template <class In, class Out>
class pipe_farm {
 public:
  template <class Fn>
  pipe_farm(int n_workers, std::size_t longest_chunk, Fn fn) {
    for (int i = 0; i < n_workers; ++i) {
      std::array<int, 2> tasks{};
      std::array<int, 2> results{};
      if (::pipe2(tasks.data(), O_CLOEXEC) != 0 || ::pipe2(results.data(), O_CLOEXEC) != 0) fail("pipe");
      make_room(tasks[0], longest_chunk * sizeof(In));
      make_room(results[0], longest_chunk * sizeof(Out));
      members_.push_back({child([&] {
                            for (const auto& other : members_) other.close_ends();
                            ::close(tasks[1]);
                            ::close(results[0]);
                            serve(tasks[0], results[1], longest_chunk, fn);
                          }),
                          tasks[1], results[0]});
      ::close(tasks[0]);
      ::close(results[1]);
    }
  }
  pipe_farm(const pipe_farm&) = delete;
  pipe_farm& operator=(const pipe_farm&) = delete;
  ~pipe_farm() {
    for (const auto& each : members_) each.close_ends();
  }

  /// Calls `take` with the results of `make(0)` to `make(count - 1)`, in order.
  template <class Make, class Take>
  void map(std::size_t count, std::size_t chunk, Make make, Take take) {
    std::vector<In> arguments(chunk);
    std::vector<Out> results(chunk);
    const auto chunks = (count + chunk - 1) / chunk;
    const auto ahead = 2 * members_.size();
    const auto length = [&](std::size_t index) { return std::min(chunk, count - index * chunk); };
    const auto send = [&](std::size_t index) {
      const std::uint64_t tasks = length(index);
      for (std::size_t i = 0; i < tasks; ++i) arguments[i] = make(index * chunk + i);
      const int fd = member(index).tasks;
      if (!write_all(fd, &tasks, sizeof tasks) || !write_all(fd, arguments.data(), tasks * sizeof(In))) fail("write");
    };
    for (std::size_t index = 0; index < std::min(ahead, chunks); ++index) send(index);
    for (std::size_t index = 0; index < chunks; ++index) {
      if (!read_all(member(index).results, results.data(), length(index) * sizeof(Out))) fail("read");
      if (index + ahead < chunks) send(index + ahead);
      for (std::size_t i = 0; i < length(index); ++i) take(results[i]);
    }
  }

 private:
  struct member_ends {
    child process;
    int tasks;
    int results;
    void close_ends() const {
      ::close(tasks);
      ::close(results);
    }
  };
  [[nodiscard]] const member_ends& member(std::size_t index) const { return members_[index % members_.size()]; }

  // Two chunks must fit, or both sides could wait for each other.
  static void make_room(int fd, std::size_t chunk_bytes) {
    constexpr int most = 1 << 20;
    ::fcntl(fd, F_SETPIPE_SZ, most);
    if (2 * (chunk_bytes + sizeof(std::uint64_t)) > static_cast<std::size_t>(::fcntl(fd, F_GETPIPE_SZ)))
      throw std::length_error("two chunks do not fit into a pipe");
  }

  template <class Fn>
  static void serve(int tasks, int results, std::size_t longest, Fn& fn) {
    std::vector<In> in(longest);
    std::vector<Out> out(longest);
    std::uint64_t count = 0;
    while (read_all(tasks, &count, sizeof count) && read_all(tasks, in.data(), count * sizeof(In))) {
      std::transform(in.begin(), in.begin() + static_cast<std::ptrdiff_t>(count), out.begin(), fn);
      if (!write_all(results, out.data(), count * sizeof(Out))) return;
    }
  }

  std::vector<member_ends> members_;
};

}  // namespace bench
