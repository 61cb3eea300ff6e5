// B4: locks of the C library that another thread holds while a pool forks.
#include <lenskit/invoker.hpp>
#include <support/call_faults.hpp>
#include <support/catch.hpp>
#include <support/engines.hpp>

#include <dlfcn.h>
#include <iconv.h>
#include <locale.h>
#include <pwd.h>
#include <stdlib.h>

#include <atomic>
#include <chrono>
#include <ctime>
#include <ranges>
#include <thread>
#include <vector>

#ifndef __SANITIZE_THREAD__

using lenskit::invoker;
using lenskit::detail::sys::call;
using lenskit::tests::call_faults;
using lenskit::tests::on;
using namespace std::chrono_literals;

namespace {

struct facility {
  const char* name;
  void (*use)();
};

constexpr facility facilities[] = {
    {"localtime_r",
     [] {
       const std::time_t now = 1;
       std::tm parts{};
       localtime_r(&now, &parts);
     }},
    {"mktime",
     [] {
       std::tm parts{};
       parts.tm_year = 100;
       mktime(&parts);
     }},
    {"setenv", [] { setenv("LENSKIT_TESTS_HAMMERED", "x", 1); }},
    {"getpwuid", [] { getpwuid(0); }},
    {"dlopen",
     [] {
       if (void* const library = dlopen("libm.so.6", RTLD_NOW)) dlclose(library);
     }},
    {"iconv",
     [] {
       if (const auto made = iconv_open("UTF-16", "UTF-8"); made != reinterpret_cast<iconv_t>(-1)) iconv_close(made);
     }},
    {"setlocale", [] { setlocale(LC_NUMERIC, "C"); }},
    {"rand", [] { static_cast<void>(rand()); }},
};

}  // namespace

// Not with the address sanitizer: what allocates there does not survive a fork beside threads that allocate.
TEST_CASE("B4: tasks use what other threads of the program were inside of when their pool was made",
          "[no_tsan][no_asan][slow]") {
  const auto& each = facilities[GENERATE(range(0, 8))];
  INFO(each.name);
  std::atomic<int> forks{0};
  const call_faults counting([&](call which) {
    forks += which == call::fork;
    return 0;
  });
  std::atomic<bool> enough{false};
  std::vector<std::jthread> threads;
  for (int i = 0; i < 2; ++i) {
    threads.emplace_back([&] {
      while (!enough) each.use();
    });
  }
  constexpr int pools = 40;
  const auto begin = std::chrono::steady_clock::now();
  for (int pool = 0; pool < pools; ++pool) {
    auto options = on(lenskit::engine::processes);
    options.task_timeout = 20s;
    invoker inv(
        0,
        [use = each.use](int, int x) {
          use();
          return x;
        },
        options);
    REQUIRE(inv.map(std::views::iota(0, 4)).collect() == std::vector{0, 1, 2, 3});
  }
  enough = true;
  // Of this process alone: what its children count is theirs.
  CHECK(forks <= 2 * pools);
  CHECK(std::chrono::steady_clock::now() - begin < pools * 500ms);
  unsetenv("LENSKIT_TESTS_HAMMERED");
}

#endif
