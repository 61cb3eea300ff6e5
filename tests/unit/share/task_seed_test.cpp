#include <lenskit/detail/share/task_seed.hpp>

#include <lenskit/error.hpp>
#include <lenskit/random.hpp>
#include <support/catch.hpp>

#include <sys/wait.h>
#include <unistd.h>

#include <cstdint>
#include <memory>
#include <thread>
#include <vector>

using lenskit::derive_seed;
using lenskit::init_rng;
using lenskit::root_seed;
using lenskit::seed_sequence;
using lenskit::task_seed;
using namespace lenskit::detail;

TEST_CASE("a task's seed is the root's entropy, the call and the index") {
  init_rng(42);
  const call_seed first = next_call_seed();
  const call_seed second = next_call_seed();
  const task_seed_scope scope(first, 7);
  CHECK(task_seed() == seed_sequence(42, {0, 7}));
  CHECK(task_seed() == seed_sequence(42, {0, 7}));
  set_task(second, 1ULL << 33);
  CHECK(task_seed() == seed_sequence(42, {1, 1ULL << 33}));
}

TEST_CASE("what a task derives does not depend on the tasks before it in the same worker") {
  init_rng(42);
  const call_seed call = next_call_seed();
  const task_seed_scope scope(call, 0);
  const auto first = derive_seed();
  CHECK(first == seed_sequence(42, {0, 0, 0}));
  CHECK(derive_seed() == seed_sequence(42, {0, 0, 1}));
  set_task(call, 5);
  CHECK(derive_seed() == seed_sequence(42, {0, 5, 0}));
  set_task(call, 0);
  CHECK(derive_seed() == first);
}

TEST_CASE("keyed seeds are the same inside a task and outside") {
  init_rng(42);
  const auto outside = derive_seed("user", 17);
  const call_seed call = next_call_seed();
  const task_seed_scope scope(call, 3);
  CHECK(derive_seed("user", 17) == outside);
  // A worker may have been forked before the root was seeded: the call brings the root along.
  init_rng(1);
  CHECK(derive_seed("user", 17) == outside);
  CHECK(root_seed() == seed_sequence(42));
}

TEST_CASE("a map call inside a task is a child of the task, and the task goes on after it") {
  init_rng(42);
  const call_seed outer = next_call_seed();
  const task_seed_scope scope(outer, 2);
  (void)derive_seed();
  const call_seed inner = next_call_seed();
  {
    const task_seed_scope nested(inner, 9);
    CHECK(task_seed() == seed_sequence(42, {0, 2, 1, 9}));
  }
  CHECK(task_seed() == seed_sequence(42, {0, 2}));
  CHECK(derive_seed() == seed_sequence(42, {0, 2, 2}));
}

TEST_CASE("threads run tasks of their own") {
  const call_seed call = next_call_seed();
  const task_seed_scope scope(call, 0);
  bool refused = false;
  std::thread([&] {
    try {
      (void)task_seed();
    } catch (const std::logic_error&) {
      refused = true;
    }
  }).join();
  CHECK(refused);
}

TEST_CASE("a call's seed survives the way to a worker") {
  init_rng(99);
  const call_seed first = next_call_seed();
  const std::vector<std::uint32_t> entropy{1, 2, 3, 4, 5};
  const seed_sequence::key_type root_key{8, 1ULL << 50};
  const call_seed deep(std::make_shared<const seed_sequence>(entropy, root_key), {8, 1ULL << 50, 4});
  for (const call_seed& sent : {first, deep}) {
    const auto words = sent.words();
    CHECK(call_seed::from_words(words) == sent);
    for (const call_seed& before : {first, deep}) CHECK(call_seed::from_words(words, &before) == sent);
    for (std::size_t cut = 0; cut < words.size(); ++cut)
      CHECK_THROWS_AS(call_seed::from_words({words.data(), cut}), lenskit::serialization_error);
    auto longer = words;
    longer.push_back(0);
    CHECK_THROWS_AS(call_seed::from_words(longer), lenskit::serialization_error);
    auto huge = words;
    huge.front() = ~0ULL;
    CHECK_THROWS_AS(call_seed::from_words(huge), lenskit::serialization_error);
    huge = words;
    huge[1] = 1ULL << 32;
    CHECK_THROWS_AS(call_seed::from_words(huge), lenskit::serialization_error);
  }
}

TEST_CASE("calls of one root share it in a worker, and those of another do not") {
  init_rng(99);
  const call_seed first = call_seed::from_words(next_call_seed().words());
  const call_seed second = call_seed::from_words(next_call_seed().words(), &first);
  CHECK(&second.root() == &first.root());
  CHECK(second.key() != first.key());
  init_rng(100);
  const call_seed other = call_seed::from_words(next_call_seed().words(), &first);
  CHECK(&other.root() != &first.root());
  CHECK(other.root() == seed_sequence(100));
}

TEST_CASE("a subprocess gets the root's next child as its root") {
  init_rng(42);
  const call_seed call = next_call_seed();
  const task_seed_scope scope(call, 0);
  const seed_sequence derived = [] {
    leave_task();
    return derive_seed();
  }();
  REQUIRE(derived.spawn_key().back() == root_seed().n_children_spawned() - 1);
  set_task(call, 4);
  const pid_t child = fork();
  if (child == 0) {
    enter_root_seed(derived);
    const bool right = root_seed() == derived && derive_seed() == seed_sequence(42, {1, 0}) &&
                       derive_seed("k") == seed_sequence(42, {1, derive_seed("k").spawn_key().back()});
    _exit(right ? 0 : 1);
  }
  int status = -1;
  REQUIRE(waitpid(child, &status, 0) == child);
  CHECK(status == 0);
}
