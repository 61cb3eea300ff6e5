// Who may call a dispatcher, and what becomes of callers when it can go on no more.
#include <lenskit/detail/dispatch/dispatcher.hpp>
#include <lenskit/error.hpp>

#include <support/catch.hpp>
#include <support/in_child.hpp>
#include <support/message_of.hpp>
#include <support/scripted_pool.hpp>

#include <unistd.h>

#include <cerrno>
#include <string>
#include <system_error>
#include <vector>

namespace {

using lenskit::invoker_closed;
using lenskit::tests::message_of;
using lenskit::tests::scripted_pool;
namespace d = lenskit::detail;
using strings = std::vector<std::string>;

}  // namespace

TEST_CASE("a task that uses the pool that runs it is told so, and cannot end it") {
  scripted_pool pool({.workers = 1});
  auto call = pool.open();
  pool.submit(call, 2);
  {
    const d::serving_scope task(pool.engine);
    CHECK(message_of<invoker_closed>([&] { pool.core.check_caller(); }).find("by a task that it runs") !=
          std::string::npos);
    pool.core.shut_down();
    CHECK_FALSE(pool.engine.shut);
  }
  CHECK_THROWS_AS(pool.core.throw_if_finished(), invoker_closed);
  pool.core.shut_down();
  CHECK(pool.engine.shut);
}

TEST_CASE("a forked process can do nothing with the pool of its parent, and does it no harm", "[no_tsan]") {
  scripted_pool pool({.workers = 1});
  auto call = pool.open();
  pool.submit(call, 2);
  const auto parent = std::to_string(::getpid());
  CHECK(lenskit::tests::holds_in_child([&] {
    const auto said = message_of<invoker_closed>([&] { pool.core.check_caller(); });
    pool.core.abandon(call);
    pool.core.shut_down();
    return said.find("an invoker of process " + parent) != std::string::npos && !pool.engine.shut;
  }));
  CHECK(pool.outcomes(call) == strings{"0", "1"});
}

TEST_CASE("H4: a leader that can wait for its workers no more breaks the pool, which says why") {
  scripted_pool pool({.workers = 1});
  auto call = pool.open();
  pool.submit(call, 2);
  pool.engine.on_wait = [&](d::manner) {
    throw std::system_error(EBADF, std::generic_category(), "cannot wait for workers");
  };
  CHECK(pool.outcomes(call) == strings{"0 broken", "1 broken"});
  CHECK(message_of<lenskit::broken_pool>([&] { pool.core.throw_if_finished(); }).find("cannot wait for workers") !=
        std::string::npos);
}

TEST_CASE("a call can be abandoned twice") {
  scripted_pool pool({.workers = 1});
  auto call = pool.open();
  pool.submit(call, 2);
  pool.core.abandon(call);
  pool.core.abandon(call);
  auto other = pool.open();
  pool.submit(other, 1);
  CHECK(pool.outcomes(other) == strings{"0"});
}
