#include <lenskit/random.hpp>

#include <support/catch.hpp>
#include <support/numpy.hpp>

#include <random>
#include <set>
#include <sstream>
#include <stdexcept>
#include <thread>

using lenskit::derive_seed;
using lenskit::init_rng;
using lenskit::root_seed;
using lenskit::seed_sequence;
using words = std::vector<std::uint32_t>;

TEST_CASE("seed_sequence gives the bits of NumPy's SeedSequence") {
  CHECK(seed_sequence(0).generate_state(4) == words{2968811710U, 3677149159U, 745650761U, 2884920346U});
  CHECK(seed_sequence(42).generate_state(5) == words{3444837047U, 2669555309U, 2046530742U, 3581440988U, 1691623607U});
  CHECK(seed_sequence(12345678901234567890ULL, {3, 1}).generate_state(2) == words{4115151976U, 2089971691U});
  CHECK(seed_sequence(words{1, 2, 3, 4, 5, 6}).generate_state(2) == words{488360481U, 3956080669U});
  CHECK(seed_sequence(words{}).generate_state(1) == words{2968811710U});
  CHECK(seed_sequence(42, {1, 1ULL << 40}).generate_state(2) == words{2056613722U, 560127928U});
  CHECK(seed_sequence(42).generate_state<std::uint64_t>(2) ==
        std::vector<std::uint64_t>{0x9f1e2e6dcd540ab7ULL, 0xd57873dc79fb94b6ULL});
}

TEST_CASE("seed_sequence agrees with the NumPy of this machine") {
  if (!lenskit::tests::have_numpy()) LENSKIT_SKIP("python3-numpy is not installed");
  std::mt19937_64 pick(7);
  std::ostringstream script;
  std::string expected;
  script << "import numpy as np\nfrom numpy.random import SeedSequence as S\n";
  const auto list = [](const auto& values) {
    std::string text;
    for (const auto value : values) text += std::to_string(value) + ",";
    return text;
  };
  for (int round = 0; round < 400; ++round) {
    std::vector<std::uint64_t> entropy(pick() % 8);
    std::vector<std::uint64_t> key(pick() % 4);
    for (auto& value : entropy) value = pick() >> (pick() % 64);
    for (auto& value : key) value = pick() >> (pick() % 64);
    const std::size_t length = pick() % 11;
    script << "s = S([" << list(entropy) << "], spawn_key=[" << list(key) << "])\n"
           << "print(*s.generate_state(" << length << "), *s.generate_state(" << length << ", np.uint64), sep=',')\n"
           << "print(*s.spawn(3)[2].spawn(1)[0].generate_state(3), sep=',')\n";
    seed_sequence seeds(entropy, key);
    std::string line = list(seeds.generate_state(length)) + list(seeds.generate_state<std::uint64_t>(length));
    if (!line.empty()) line.pop_back();
    expected += line + "\n";
    line = list(seeds.spawn(3)[2].spawn().generate_state(3));
    line.pop_back();
    expected += line + "\n";
  }
  CHECK(lenskit::tests::run_python(script.str()) == expected);
}

TEST_CASE("children are numbered on from the ones already spawned") {
  seed_sequence seeds(42);
  CHECK(seeds.n_children_spawned() == 0);
  CHECK(seeds.spawn(2)[1].spawn_key() == seed_sequence::key_type{1});
  CHECK(seeds.spawn().spawn_key() == seed_sequence::key_type{2});
  CHECK(seeds.n_children_spawned() == 3);
  CHECK(seeds.spawn(0).empty());
  const seed_sequence copy = seeds;
  CHECK(copy.n_children_spawned() == 3);
  CHECK(copy == seeds);
}

TEST_CASE("threads that spawn from one sequence never get the same child") {
  seed_sequence seeds(1);
  std::vector<std::vector<seed_sequence>> got(4);
  std::vector<std::thread> threads;
  for (auto& mine : got) {
    threads.emplace_back([&] {
      for (int i = 0; i < 200; ++i) mine.push_back(seeds.spawn());
    });
  }
  for (auto& thread : threads) thread.join();
  std::set<std::uint64_t> distinct;
  for (const auto& mine : got) {
    for (const auto& seed : mine) distinct.insert(seed.spawn_key().back());
  }
  CHECK(distinct.size() == 800);
  CHECK(*distinct.rbegin() == 799);
}

TEST_CASE("seed_sequence seeds the engines of the standard library") {
  seed_sequence seeds(42, {1});
  std::mt19937_64 direct(seeds);
  words parameters;
  seeds.param(std::back_inserter(parameters));
  CHECK(parameters.size() == seeds.size());
  seed_sequence rebuilt(parameters.begin(), parameters.end());
  std::mt19937_64 again(rebuilt);
  CHECK(direct() == again());
  words filled(3);
  seeds.generate(filled.begin(), filled.end());
  CHECK(filled == seeds.generate_state(3));
}

TEST_CASE("a sequence made from nothing is different each time") { CHECK_FALSE(seed_sequence() == seed_sequence()); }

TEST_CASE("negative numbers are refused as entropy and as keys") {
  CHECK_THROWS_AS(seed_sequence(-1), std::invalid_argument);
  CHECK_THROWS_AS(seed_sequence(std::vector<int>{1, -1}), std::invalid_argument);
  CHECK_THROWS_WITH(derive_seed("fold", -3), "cannot use -3 as a seed: it is negative");
}

TEST_CASE("init_rng starts the root over") {
  init_rng(42);
  CHECK(root_seed() == seed_sequence(42));
  CHECK(derive_seed().spawn_key() == seed_sequence::key_type{0});
  CHECK(derive_seed().spawn_key() == seed_sequence::key_type{1});
  CHECK(root_seed().n_children_spawned() == 2);
  init_rng(42);
  CHECK(derive_seed() == seed_sequence(42, {0}));
}

TEST_CASE("derived seeds are a function of the root's entropy and the keys") {
  init_rng(42);
  const auto before = derive_seed("split", 3U, 1ULL << 40);
  CHECK(before.generate_state(1) != derive_seed("split", 4).generate_state(1));
  (void)derive_seed();
  CHECK(derive_seed(std::string("split"), 3, 1LL << 40) == before);
  init_rng(43);
  CHECK_FALSE(derive_seed("split", 3, 1LL << 40) == before);
}

TEST_CASE("strings count as their CRC-32, as in LensKit") {
  init_rng(42);
  CHECK(derive_seed("123456789").spawn_key() == seed_sequence::key_type{3421780262U});
  CHECK(derive_seed("").spawn_key() == seed_sequence::key_type{0});
  CHECK(derive_seed("zw\xc3\xb6lf").spawn_key() == seed_sequence::key_type{2554040407U});
}

TEST_CASE("a task seed outside of a task is a logic error") { CHECK_THROWS_AS(lenskit::task_seed(), std::logic_error); }
