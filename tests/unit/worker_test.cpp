#include <lenskit/worker.hpp>

#include <lenskit/detail/os/worker_state.hpp>
#include <support/catch.hpp>

#include <sys/wait.h>
#include <unistd.h>

#include <thread>

using lenskit::is_mp_worker;
using lenskit::is_worker;
using lenskit::worker_index;
using lenskit::detail::enter_role;
using lenskit::detail::process_role;
using lenskit::detail::role_scope;

namespace {

// Runs `check` in a forked child and says whether it held there.
template <class Check>
bool holds_in_child(Check check) {
  const pid_t child = fork();
  if (child == 0) _exit(check() ? 0 : 1);
  int status = -1;
  REQUIRE(waitpid(child, &status, 0) == child);
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

}  // namespace

TEST_CASE("the parent is not a worker") {
  CHECK_FALSE(is_worker());
  CHECK_FALSE(is_mp_worker());
  CHECK_FALSE(worker_index().has_value());
}

TEST_CASE("a forked worker is one, with its index, in all of its threads") {
  CHECK(holds_in_child([] {
    enter_role(process_role::pool_worker, 3);
    bool in_thread = false;
    std::thread([&] { in_thread = is_worker() && is_mp_worker() && worker_index() == 3; }).join();
    return in_thread && is_worker() && is_mp_worker() && worker_index() == 3;
  }));
}

TEST_CASE("a subprocess of run_sp is a worker without a pool") {
  CHECK(holds_in_child([] {
    enter_role(process_role::subprocess, std::nullopt);
    return is_worker() && !is_mp_worker() && !worker_index().has_value();
  }));
}

TEST_CASE("a worker thread is a worker only while its scope lives, and only in its own thread") {
  {
    const role_scope outer(process_role::pool_worker, 0);
    CHECK(is_mp_worker());
    bool other_thread = true;
    std::thread([&] { other_thread = is_worker(); }).join();
    CHECK_FALSE(other_thread);
    {
      const role_scope inner(process_role::pool_worker, 5);
      CHECK(worker_index() == 5);
    }
    CHECK(worker_index() == 0);
  }
  CHECK_FALSE(is_worker());
}

TEST_CASE("a child forked by a worker thread does not inherit that thread's role") {
  const role_scope scope(process_role::pool_worker, 2);
  CHECK(holds_in_child([] {
    enter_role(process_role::subprocess, std::nullopt);
    return is_worker() && !is_mp_worker() && !worker_index().has_value();
  }));
}
