// T7: from asking for one task to its result, on a pool that has nothing else to do. The limits beside the target wait
// as a pool has to: for a result, and for whatever else may happen meanwhile. The same again without idling shows what
// of it is code and data that the caches have lost.
#include <support/child.hpp>
#include <support/contest.hpp>

#include <lenskit/parallel.hpp>

#include <fcntl.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace {

struct no_model {};

// Keeps the calling thread on one core; -1: on none in particular.
void stay_on(int core) {
  if (core < 0) return;
  cpu_set_t only;
  CPU_ZERO(&only);
  CPU_SET(static_cast<std::size_t>(core), &only);
  if (::sched_setaffinity(0, sizeof only, &only) != 0) bench::fail("sched_setaffinity");
}

// The median of many round trips, µs, each after an idle time: after a while the other side sleeps, and the caches hold
// something else.
double median_latency(std::chrono::milliseconds idle, auto&& round_trip) {
  std::vector<double> all(bench::sized<std::size_t>(200, 100));
  for (auto& each : all) {
    if (idle.count() > 0) std::this_thread::sleep_for(idle);
    each = bench::seconds_of(round_trip) * 1e6;
  }
  std::nth_element(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(all.size() / 2), all.end());
  return all[all.size() / 2];
}

// Four bytes to another process and back, with nothing else. Waiting by `epoll` is the least that waits for a result
// and for anything else at once.
class bare_echo {
 public:
  enum class connection { pipes, socket };
  enum class wait_by { read, epoll };

  bare_echo(connection kind, wait_by how, int worker_core)
      : ends_(connect(kind)), events_(how == wait_by::epoll ? watch(ends_.in) : -1), worker_([this, worker_core] {
          stay_on(worker_core);
          for (int x = 0; bench::read_all(ends_.worker_in, &x, sizeof x);) {
            if (!bench::write_all(ends_.worker_out, &x, sizeof x)) bench::fail("write");
          }
        }) {}
  bare_echo(const bare_echo&) = delete;
  bare_echo& operator=(const bare_echo&) = delete;
  ~bare_echo() {
    for (const int fd : {ends_.in, ends_.out, ends_.worker_in, ends_.worker_out, events_}) ::close(fd);
  }

  int ask(int x) {
    epoll_event event{};
    constexpr int for_ever = -1;
    if (!bench::write_all(ends_.out, &x, sizeof x)) bench::fail("write");
    if (events_ >= 0 && ::epoll_wait(events_, &event, 1, for_ever) != 1) bench::fail("epoll_wait");
    if (!bench::read_all(ends_.in, &x, sizeof x)) bench::fail("read");
    return x;
  }

 private:
  struct ends {
    int in = -1;
    int out = -1;
    int worker_in = -1;
    int worker_out = -1;
  };

  static ends connect(connection kind) {
    std::array<int, 2> first{};
    std::array<int, 2> second{};
    if (kind == connection::pipes) {
      if (::pipe2(first.data(), O_CLOEXEC) != 0 || ::pipe2(second.data(), O_CLOEXEC) != 0) bench::fail("pipe");
      return {first[0], second[1], second[0], first[1]};
    }
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, first.data()) != 0) bench::fail("socketpair");
    const auto again = [](int fd) { return ::fcntl(fd, F_DUPFD_CLOEXEC, 0); };
    return {first[0], again(first[0]), first[1], again(first[1])};
  }

  static int watch(int fd) {
    const int events = ::epoll_create1(EPOLL_CLOEXEC);
    epoll_event readable{};
    readable.events = EPOLLIN;
    if (events < 0 || ::epoll_ctl(events, EPOLL_CTL_ADD, fd, &readable) != 0) bench::fail("epoll");
    return events;
  }

  ends ends_;
  int events_;
  bench::child worker_;
};

void expect(bool right) {
  if (!right) throw std::runtime_error("a result is wrong");
}

// In a process of its own, because it is bound to a core.
void compare(const std::string& what, int own_core, int other_core) {
  bench::run_apart([&] {
    auto same_with_model = [other_core, moved = false](const no_model&, int x) mutable {
      if (!std::exchange(moved, true)) stay_on(other_core);
      return x;
    };
    bare_echo pipes(bare_echo::connection::pipes, bare_echo::wait_by::read, other_core);
    bare_echo watched_pipes(bare_echo::connection::pipes, bare_echo::wait_by::epoll, other_core);
    bare_echo watched_socket(bare_echo::connection::socket, bare_echo::wait_by::epoll, other_core);
    lenskit::invoker pool(no_model{}, same_with_model, bench::workers);
    stay_on(own_core);
    constexpr std::array one{7};
    const auto ask_pool = [&] { expect(*pool.map(one).begin() == one[0]); };
    const auto ask = [&one](bare_echo& echo) { return [&one, &echo] { expect(echo.ask(one[0]) == one[0]); }; };
    constexpr int rounds = 3;
    constexpr auto cold = std::chrono::milliseconds(3);
    for (const auto& [when, idle] : {std::pair{"", cold}, {", again at once", std::chrono::milliseconds(0)}}) {
      bench::contest contest("T7", what + when, "µs");
      contest.add("lenskit", [&, idle = idle] { return median_latency(idle, ask_pool); });
      contest.add("bare pipes", [&, idle = idle] { return median_latency(idle, ask(pipes)); });
      contest.add("bare pipes and epoll", [&, idle = idle] { return median_latency(idle, ask(watched_pipes)); });
      contest.add("bare sockets and epoll", [&, idle = idle] { return median_latency(idle, ask(watched_socket)); });
      contest.run(rounds);
    }
  });
}

}  // namespace

int main(int argc, char** argv) {
  bench::initialize(argc, argv);
  compare("wherever the kernel puts them", -1, -1);
  if (std::thread::hardware_concurrency() > 1) compare("on two cores", 0, 1);
  compare("on one core", 0, 0);
}
