#include <lenskit/invoker.hpp>
#include <support/catch.hpp>
#include <support/engines.hpp>
#include <support/message_of.hpp>

#include <chrono>
#include <stdexcept>
#include <string>

using lenskit::invoker;
using lenskit::tests::mentions;
using lenskit::tests::message_of;
using lenskit::tests::on;
using namespace std::chrono_literals;

TEST_CASE("engines that cannot stop a task refuse a timeout") {
  const auto engine = GENERATE(lenskit::engine::in_process, lenskit::engine::threads);
  auto options = on(engine);
  options.task_timeout = 1s;
  const auto make = [&] {
    invoker inv(
        0, [](int, int x) { return x; }, options);
  };
  CHECK_THROWS_AS(make(), std::invalid_argument);
  CHECK(mentions(message_of(make), {"task_timeout", lenskit::tests::name_of(engine)}));
}
