#include "chaos_world.hpp"

#include "chaos_faults.hpp"

#include <lenskit/detail/os/system.hpp>
#include <lenskit/invoker.hpp>

#include <spdlog/spdlog.h>
#include <support/one_processor.hpp>

#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <ctime>
#include <filesystem>
#include <memory>
#include <mutex>
#include <new>
#include <ranges>
#include <stdexcept>
#include <stop_token>
#include <thread>
#include <utility>

namespace lenskit::soak::chaos {
namespace {

using namespace std::chrono_literals;

/// Ends something when it is destroyed.
template <class End>
std::shared_ptr<void> until(End end) {
  struct guard {
    End end;
    explicit guard(End what) : end(std::move(what)) {}
    ~guard() { end(); }
    guard(const guard&) = delete;
    guard& operator=(const guard&) = delete;
  };
  return std::make_shared<guard>(std::move(end));
}

/// Repeats something in a thread of its own, whom the allocation that fails may hit as well.
template <class What>
std::shared_ptr<void> meanwhile(What what) {
  return std::make_shared<std::jthread>([what](const std::stop_token& stop) {
    while (!stop.stop_requested()) try {
        what();
      } catch (const std::bad_alloc&) {}
  });
}

std::shared_ptr<void> handle(int signal, void (*handler)(int), int flags) {
  struct sigaction action {};
  struct sigaction before {};
  action.sa_handler = handler;
  action.sa_flags = flags;
  ::sigaction(signal, &action, &before);
  return until([=] { ::sigaction(signal, &before, nullptr); });
}

std::shared_ptr<void> alarms(dice& lots) {
  auto handler = handle(
      SIGALRM, [](int) {}, 0);
  const auto every = lots.between(500, 3000);
  const itimerval period{{0, every}, {0, every}};
  ::setitimer(ITIMER_REAL, &period, nullptr);
  return until([handler] {
    const itimerval none{};
    ::setitimer(ITIMER_REAL, &none, nullptr);
  });
}

std::shared_ptr<void> limited(__rlimit_resource what, rlim_t to) {
  rlimit before{};
  ::getrlimit(what, &before);
  const rlimit now{std::min(to, before.rlim_max), before.rlim_max};
  ::setrlimit(what, &now);
  return until([=] { ::setrlimit(what, &before); });
}

std::shared_ptr<void> few_descriptors(dice& lots) {
  const int next = ::dup(STDIN_FILENO);
  ::close(next);
  return limited(RLIMIT_NOFILE, static_cast<rlim_t>(next + lots.between(1, 50)));
}

// The superuser is not limited, so this process becomes somebody whom nobody else is.
std::shared_ptr<void> few_processes(dice& lots) {
  const auto somebody = static_cast<uid_t>(200'000 + ::getpid());
  if (::geteuid() != 0 || ::setresuid(somebody, somebody, somebody) != 0) return nullptr;
  ::prctl(PR_SET_DUMPABLE, 1);
  return limited(RLIMIT_NPROC, static_cast<rlim_t>(lots.between(2, 10)));
}

std::shared_ptr<void> without_stdio(dice&) {
  for (int fd = 0; fd <= STDERR_FILENO; ++fd) ::close(fd);
  return until([] {
    const int null = ::open("/dev/null", O_RDWR);  // the lowest that is free, so again one of the three
    for (int fd = 0; fd <= STDERR_FILENO; ++fd) {
      if (fd != null) ::dup2(null, fd);
    }
    if (null > STDERR_FILENO) ::close(null);
  });
}

std::shared_ptr<void> blocked_signals(dice&) {
  sigset_t all, before;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  return until([before] { ::pthread_sigmask(SIG_SETMASK, &before, nullptr); });
}

std::shared_ptr<void> lost_directory(dice&) {
  const auto before = std::filesystem::current_path();
  const auto doomed = before / "doomed";
  std::filesystem::create_directory(doomed);
  std::filesystem::current_path(doomed);
  std::filesystem::remove(doomed);
  return until([before] { std::filesystem::current_path(before); });
}

std::shared_ptr<void> many_descriptors(dice& lots) {
  std::vector<int> taken;
  for (int i = lots.between(50, 400); i > 0; --i) taken.push_back(::dup(STDIN_FILENO));
  return until([taken] {
    for (const int fd : taken) ::close(fd);
  });
}

std::shared_ptr<void> one_processor(dice&) { return std::make_shared<tests::one_processor>(); }

// Holds locks of the C library as often as it can, which a fork may copy.
void hold_locks() {
  const auto now = std::time(nullptr);
  std::tm broken_down{};
  ::localtime_r(&now, &broken_down);
  std::string text(static_cast<std::size_t>(1 + now % 1000), 'x');
  std::this_thread::sleep_for(50us);
}

void have_a_child() {
  constexpr int code = 42;
  const pid_t child = ::fork();
  if (child == 0) ::_exit(code);
  int status = 0;
  if (child > 0 && (::waitpid(child, &status, 0) != child || WEXITSTATUS(status) != code))
    throw std::logic_error("the program's own child was waited for by somebody else");  // ends the run
  std::this_thread::sleep_for(2ms);
}

class throwing_sink final : public spdlog::sinks::base_sink<std::mutex> {
  void sink_it_(const spdlog::details::log_msg&) override { throw std::runtime_error("this sink does not work"); }
  void flush_() override {}
};

std::shared_ptr<void> broken_sink(dice&) {
  const auto logger = spdlog::default_logger();
  logger->set_error_handler([](const std::string&) {});
  logger->sinks().push_back(std::make_shared<throwing_sink>());
  return until([logger] { logger->sinks().pop_back(); });
}

// A pool in a callback of the library's own thread.
class mapping_sink final : public spdlog::sinks::base_sink<std::mutex> {
  void sink_it_(const spdlog::details::log_msg&) override {
    constexpr int each = 32;  // of the records
    if (records_++ % each != 0) return;
    invoker inside(1, [](int m, int x) { return m + x; }, {.n_jobs = 2, .engine = engine::threads});
    if (inside.map(std::views::iota(0, 3)).collect() != std::vector{1, 2, 3}) std::abort();  // ends the run
  }
  void flush_() override {}
  int records_ = 0;
};

std::shared_ptr<void> busy_sink(dice&) {
  const auto logger = spdlog::default_logger();
  logger->sinks().push_back(std::make_shared<mapping_sink>());
  return until([logger] { logger->sinks().pop_back(); });
}

/// Lets system calls of the library fail or come short, in this process and in those forked from it.
class weather final : public detail::sys::interceptor {
 public:
  struct forecast {
    unsigned interrupts = 0;     ///< one of so many calls that may be is interrupted; 0: none
    std::size_t most_bytes = 0;  ///< that a transfer moves
    unsigned fails = 0;          ///< one of so many calls fails for good
  };
  weather(std::uint64_t seed, forecast what) : seed_(seed), what_(what) { detail::sys::intercept(this); }
  ~weather() override { detail::sys::intercept(nullptr); }
  weather(const weather&) = delete;
  weather& operator=(const weather&) = delete;

  int fail(detail::sys::call which) noexcept override {
    const auto lot = draw();
    if (what_.fails != 0 && lot % what_.fails == 0 && may_fail(which)) return note(lot % 2 == 0 ? ENOMEM : EMFILE);
    if (what_.interrupts != 0 && lot % what_.interrupts == 0 && may_be_interrupted(which)) return note(EINTR);
    return 0;
  }
  // Not what is written to log pipes, where the kernel promises all or nothing.
  std::size_t shorten(detail::sys::call which, std::size_t bytes) noexcept override {
    using detail::sys::call;
    if (what_.most_bytes == 0 || which == call::write) return bytes;
    constexpr std::size_t one_packet = 64;  // of the spawner's, which the kernel moves as a whole
    const auto most = one_packet + draw() % what_.most_bytes;
    if (most >= bytes) return bytes;
    note(0);
    return most;
  }

 private:
  std::uint64_t draw() noexcept { return mix(seed_, calls_++); }
  static int note(int error) noexcept {
    ++the_tally().system_calls;
    return error;
  }
  static bool may_be_interrupted(detail::sys::call which) noexcept {
    using detail::sys::call;
    static constexpr call all[] = {call::read,    call::write, call::pread, call::pwrite,     call::sendmsg,
                                   call::recvmsg, call::poll,  call::open,  call::epoll_wait, call::waitid,
                                   call::openat,  call::fsync, call::flock, call::ftruncate,  call::fallocate};
    return std::find(std::begin(all), std::end(all), which) != std::end(all);
  }
  static bool may_fail(detail::sys::call which) noexcept {
    using detail::sys::call;
    static constexpr call all[] = {call::fork,         call::socketpair, call::pipe2,      call::memfd_create,
                                   call::eventfd,      call::open,       call::dup,        call::mmap,
                                   call::epoll_create, call::epoll_ctl,  call::pidfd_open, call::timerfd,
                                   call::fallocate,    call::sendmsg,    call::recvmsg};
    return std::find(std::begin(all), std::end(all), which) != std::end(all);
  }

  const std::uint64_t seed_;
  const forecast what_;
  std::atomic<std::uint64_t> calls_{0};
};

std::shared_ptr<void> bad_weather(dice& lots, weather::forecast what) {
  return std::make_shared<weather>(lots.next(), what);
}

pid_t a_worker(dice& lots) {
  const auto pid = the_board().workers[lots.below(most_workers)].load();
  return pid > 0 && ::getsid(pid) == ::getsid(0) ? pid : 0;
}

void send(int signal, pid_t to) {
  if (to > 0 && ::getsid(to) == ::getsid(0)) ::kill(to, signal);
}

void stop_briefly(pid_t which, dice& lots) {
  send(SIGSTOP, which);
  std::this_thread::sleep_for(std::chrono::microseconds(lots.between(100, 3000)));
  send(SIGCONT, which);
}

void shrink_buffers() {
  constexpr int small = 4096;
  for (int fd = 3; fd < 256; ++fd) {
    ::setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
    ::setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    ::fcntl(fd, F_SETPIPE_SZ, small);
  }
}

}  // namespace

const std::vector<world_fault>& world_faults() {
  static const std::vector<world_fault> all{
      {"storm of SIGALRM", alarms},
      {"waitpid(-1) in a thread",
       [](dice&) {
         return meanwhile([] {
           ::waitpid(-1, nullptr, WNOHANG);
           std::this_thread::sleep_for(100us);
         });
       }},
      {"SIGCHLD ignored", [](dice&) { return handle(SIGCHLD, SIG_IGN, 0); }},
      {"SA_NOCLDWAIT", [](dice&) { return handle(SIGCHLD, SIG_DFL, SA_NOCLDWAIT); }},
      {"SIGPIPE that would be fatal",
       [](dice&) {
         return handle(
             SIGPIPE, [](int) { std::abort(); }, 0);
       }},
      {"program without stdio", without_stdio},
      {"signals blocked in the program", blocked_signals},
      {"working directory removed", lost_directory},
      {"many descriptors", many_descriptors},
      {"one processor", one_processor},
      {"locks held by other threads", [](dice&) { return meanwhile(hold_locks); }},
      {"children of the program's own", [](dice&) { return meanwhile(have_a_child); }},
      {"program logs as well",
       [](dice&) {
         return meanwhile([] {
           spdlog::info("a record of the program's own");
           std::this_thread::sleep_for(100us);
         });
       }},
      {"log sink that throws", broken_sink},
      {.name = "log sink that uses a pool", .begin = busy_sink, .maps = true},
      {"system calls interrupted", [](dice& lots) { return bad_weather(lots, {.interrupts = 3}); }},
      {"transfers of a few bytes", [](dice& lots) { return bad_weather(lots, {.most_bytes = 100}); }},
      {"interrupted and short transfers",
       [](dice& lots) { return bad_weather(lots, {.interrupts = 5, .most_bytes = 5000}); }},
      {"system calls that fail", [](dice& lots) { return bad_weather(lots, {.fails = 150}); }, true},
      {"few descriptors to be had", few_descriptors, true},
      {"few processes to be had", few_processes, true},
  };
  return all;
}

const std::vector<blow>& blows() {
  static const std::vector<blow> all{
      {"worker killed from outside", 1, [](dice& lots) { send(SIGKILL, a_worker(lots)); }},
      {"worker terminated from outside", 1, [](dice& lots) { send(SIGTERM, a_worker(lots)); }},
      {"worker crashed from outside", 1, [](dice& lots) { send(SIGSEGV, a_worker(lots)); }},
      {"worker interrupted", 0, [](dice& lots) { send(SIGINT, a_worker(lots)); }},
      {"worker stopped for a moment", 0, [](dice& lots) { stop_briefly(a_worker(lots), lots); }},
      {"spawner stopped for a moment", 0, [](dice& lots) { stop_briefly(the_board().spawner, lots); }},
      {"spawner terminated", 0, [](dice&) { send(SIGTERM, the_board().spawner); }},
      {"spawner killed", -1, [](dice&) { send(SIGKILL, the_board().spawner); }},
      {"connections made narrow", 0, [](dice&) { shrink_buffers(); }},
  };
  return all;
}

}  // namespace lenskit::soak::chaos
