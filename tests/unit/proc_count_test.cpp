#include <lenskit/proc_count.hpp>

#include <lenskit/error.hpp>
#include <lenskit/settings.hpp>
#include <support/catch.hpp>
#include <support/in_child.hpp>
#include <support/message_of.hpp>
#include <support/variable.hpp>

#include <algorithm>
#include <stdexcept>

using lenskit::effective_cpu_count;
using lenskit::proc_count;
using lenskit::tests::holds_in_child;
using lenskit::tests::mentions;
using lenskit::tests::message_of;
using lenskit::tests::variable;

// The six cases of LensKit 0.14.
TEST_CASE("by default half of the CPUs, and two at the next level") {
  CHECK(proc_count() == std::max(effective_cpu_count() / 2, 1));
  CHECK(proc_count({.level = 1}) == 2);
}

TEST_CASE("a divisor of one gives all CPUs") { CHECK(proc_count({.core_div = 1}) == effective_cpu_count()); }

TEST_CASE("LK_NUM_PROCS is the count, and one at the next level") {
  const variable procs("LK_NUM_PROCS", "17");
  CHECK(proc_count() == 17);
  CHECK(proc_count({.level = 1}) == 1);
}

TEST_CASE("max_default caps the share of the CPUs") { CHECK(proc_count({.core_div = 1, .max_default = 1}) == 1); }

TEST_CASE("LK_NUM_PROCS has a number for each level") {
  const variable procs("LK_NUM_PROCS", "7,3");
  CHECK(proc_count() == 7);
  CHECK(proc_count({.level = 1}) == 3);
  CHECK(proc_count({.level = 2}) == 1);
}

TEST_CASE("without a divisor there is one process") {
  CHECK(proc_count({.core_div = std::nullopt}) == 1);
  CHECK(proc_count({.core_div = std::nullopt, .level = 1}) == 1);
}

TEST_CASE("the share goes down from the count of CPUs") {
  const variable cpus("LK_NUM_CPUS", "24");
  CHECK(proc_count() == 12);
  CHECK(proc_count({.core_div = 5}) == 4);
  CHECK(proc_count({.core_div = 100}) == 1);
  CHECK(proc_count({.max_default = 4}) == 4);
  CHECK(proc_count({.core_div = 3, .level = 1}) == 3);
  CHECK(proc_count({.level = 2}) == 1);
}

TEST_CASE("max_default does not cap what was asked for") {
  const variable procs("LK_NUM_PROCS", " 17 ");
  CHECK(proc_count({.max_default = 4}) == 17);
}

TEST_CASE("minus one in LK_NUM_PROCS is all CPUs, 0 the default") {
  const variable cpus("LK_NUM_CPUS", "10");
  const variable procs("LK_NUM_PROCS", "-1,0,-1");
  CHECK(proc_count() == 10);
  CHECK(proc_count({.core_div = 3, .level = 1}) == 3);
  CHECK(proc_count({.level = 2}) == 10);
}

TEST_CASE("an empty LK_NUM_PROCS counts as unset") {
  const variable cpus("LK_NUM_CPUS", "10");
  const variable procs("LK_NUM_PROCS", "");
  CHECK(proc_count() == 5);
}

TEST_CASE("a bad LK_NUM_PROCS is an error that names it and its value") {
  for (const char* text : {"many", "4x", "7,", ",3", "7;3", "-2", "99999999999", "3.5"}) {
    const variable procs("LK_NUM_PROCS", text);
    CHECK(mentions(message_of<lenskit::settings_error>([] { (void)proc_count(); }),
                   {std::string("LK_NUM_PROCS=") + text}));
  }
}

TEST_CASE("options that make no sense are refused") {
  CHECK_THROWS_AS(proc_count({.level = -1}), std::invalid_argument);
  CHECK_THROWS_AS(proc_count({.core_div = 0}), std::invalid_argument);
  CHECK_THROWS_AS(proc_count({.max_default = 0}), std::invalid_argument);
}

TEST_CASE("num_procs given by the program counts before LK_NUM_PROCS, at level 0 only") {
  CHECK(holds_in_child([] {
    lenskit::initialize({.num_procs = 3});
    const variable procs("LK_NUM_PROCS", "7,5");
    return proc_count() == 3 && proc_count({.level = 1}) == 5;
  }));
}

TEST_CASE("initialising with defaults does not change the count") {
  CHECK(holds_in_child([] {
    const variable cpus("LK_NUM_CPUS", "24");
    lenskit::ensure_parallel_init();
    return proc_count() == 12 && lenskit::parallel_config().num_procs == 4;
  }));
}

TEST_CASE("in a worker the count is one") {
  CHECK(holds_in_child([] {
    const variable procs("LK_NUM_PROCS", "7");
    lenskit::detail::apply_worker_threads(lenskit::detail::worker_settings(2));
    return proc_count() == 1;
  }));
}
