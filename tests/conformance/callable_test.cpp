#include <lenskit/invoker.hpp>
#include <support/catch.hpp>
#include <support/engines.hpp>
#include <support/file_tree.hpp>

#include <unistd.h>

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <ranges>
#include <set>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

using lenskit::invoker;
using lenskit::tests::on;

namespace {

struct scorer {
  int offset = 0;
  [[nodiscard]] int score(int item) const { return offset + item; }
};

int add(const scorer& model, int item) { return model.score(item); }

// Counts its own calls: each worker has its own.
struct numbering {
  int calls = 0;
  int operator()(int, int) { return ++calls; }
};

// Writes a line a task into a file of its own, which keeps the last lines in a buffer until it is closed. A copy has
// none.
class line_writer {
 public:
  explicit line_writer(std::filesystem::path directory) : directory_(std::move(directory)) {}
  line_writer(line_writer&&) = default;
  line_writer(const line_writer& other) : directory_(other.directory_) {}
  line_writer& operator=(line_writer&&) = delete;
  line_writer& operator=(const line_writer&) = delete;
  ~line_writer() = default;

  int operator()(int, int x) {
    if (!file_) {
      const auto name = std::to_string(::getpid()) + "." + std::to_string(reinterpret_cast<std::uintptr_t>(this));
      file_ = std::make_unique<std::ofstream>(directory_ / name);
    }
    *file_ << "task " << x << '\n';
    return x;
  }

 private:
  std::filesystem::path directory_;
  std::unique_ptr<std::ofstream> file_;
};

std::set<std::string> lines_in(const std::filesystem::path& directory) {
  std::set<std::string> lines;
  for (const auto& entry : std::filesystem::directory_iterator(directory)) {
    std::ifstream file(entry.path());
    for (std::string line; std::getline(file, line);) lines.insert(line);
  }
  return lines;
}

const std::vector inputs{1, 2, 3, 4, 5, 6};

}  // namespace

TEST_CASE("the function may be a function pointer") {
  ON_EVERY_ENGINE(engine);
  CHECK(invoker(scorer{10}, &add, on(engine)).map(inputs).collect() == std::vector{11, 12, 13, 14, 15, 16});
  CHECK(invoker(scorer{10}, add, on(engine)).map(inputs).collect() == std::vector{11, 12, 13, 14, 15, 16});
}

TEST_CASE("the function may be a member of the model") {
  ON_EVERY_ENGINE(engine);
  CHECK(invoker(scorer{20}, &scorer::score, on(engine)).map(inputs).collect() == std::vector{21, 22, 23, 24, 25, 26});
}

TEST_CASE("the function may be a lambda with captures") {
  ON_EVERY_ENGINE(engine);
  const std::string text = "long enough to live on the heap, and not inside of the string itself";
  const std::vector weights{1, 10, 100};
  invoker inv(
      scorer{1},
      [text, weights](const scorer& m, std::size_t i) {
        return m.offset * weights.at(i) + static_cast<int>(text.size());
      },
      on(engine));
  const auto size = static_cast<int>(text.size());
  CHECK(inv.map(std::vector<std::size_t>{2, 0, 1}).collect() == std::vector{size + 100, size + 1, size + 10});
}

TEST_CASE("the function may be a std::function or a reference wrapper") {
  ON_EVERY_ENGINE(engine);
  const std::function<int(const scorer&, int)> wrapped = add;
  CHECK(invoker(scorer{1}, wrapped, on(engine)).map(inputs).collect() == std::vector{2, 3, 4, 5, 6, 7});
  CHECK(invoker(scorer{1}, std::ref(wrapped), on(engine)).map(inputs).collect() == std::vector{2, 3, 4, 5, 6, 7});
}

TEST_CASE("the state of the function is kept from task to task, and each worker has its own") {
  ON_EVERY_ENGINE(engine);
  numbering fn;
  invoker inv(0, fn, on(engine, 2));
  const auto first = inv.map(std::vector<int>(40)).collect();
  const auto second = inv.map(std::vector<int>(40)).collect();
  CHECK(fn.calls == 0);
  // With w workers each number comes at most w times, and those of all calls together are w sequences from 1 on.
  std::multiset<int> seen(first.begin(), first.end());
  seen.insert(second.begin(), second.end());
  CHECK(seen.size() == 80);
  CHECK(seen.count(1) >= 1);
  CHECK(seen.count(1) <= static_cast<std::size_t>(inv.n_jobs()));
  for (const int number : seen) {
    CHECK(seen.count(number) <= seen.count(1));
    CHECK((number == 1 || seen.contains(number - 1)));
  }
}

TEST_CASE("V3: what the function of each worker holds is closed when the pool ends, whichever way it does") {
  ON_EVERY_ENGINE(engine);
  const bool shuts_down = GENERATE(false, true);
  constexpr int count = 10'000;
  const lenskit::tests::file_tree files;
  {
    invoker inv(0, line_writer(files.root()), on(engine));
    CHECK(inv.map(std::views::iota(0, count)).collect().size() == count);
    if (shuts_down) inv.shutdown();
    if (shuts_down) CHECK(lines_in(files.root()).size() == count);
  }
  CHECK(lines_in(files.root()).size() == count);
}

TEST_CASE("a generic function takes arguments of several types on one invoker") {
  ON_EVERY_ENGINE(engine);
  invoker inv(
      scorer{1},
      [](const scorer& m, const auto& x) {
        if constexpr (std::is_same_v<std::decay_t<decltype(x)>, std::string>) {
          return x + std::to_string(m.offset);
        } else {
          return x + x;
        }
      },
      on(engine));
  auto of_integers = inv.map(std::vector{1, 2, 3});
  auto of_strings = inv.map(std::vector<std::string>{"a", "b"});
  auto of_doubles = inv.map(std::vector{0.5, 0.25});
  CHECK(of_doubles.collect() == std::vector{1.0, 0.5});
  CHECK(of_strings.collect() == std::vector<std::string>{"a1", "b1"});
  CHECK(of_integers.collect() == std::vector{2, 4, 6});
}

TEST_CASE("a function with different numbers of arguments is called with as many as there are ranges") {
  ON_EVERY_ENGINE(engine);
  invoker inv(
      scorer{100}, [](const scorer& m, auto... x) { return m.offset + (x + ...); }, on(engine));
  CHECK(inv.map(std::vector{1}).collect() == std::vector{101});
  CHECK(inv.map(std::vector{1}, std::vector{2}).collect() == std::vector{103});
  CHECK(inv.map(std::vector{1}, std::vector{2}, std::vector{3}).collect() == std::vector{106});
}

TEST_CASE("a function may take its argument by value, by reference, to const or not") {
  ON_EVERY_ENGINE(engine);
  const std::vector<std::string> texts{"ab", "cd"};
  const std::vector<std::size_t> sizes{2, 2};
  CHECK(invoker(
            0, [](int, std::string s) { return s.size(); }, on(engine))
            .map(texts)
            .collect() == sizes);
  CHECK(invoker(
            0, [](int, const std::string& s) { return s.size(); }, on(engine))
            .map(texts)
            .collect() == sizes);
  CHECK(invoker(
            0, [](int, std::string&& s) { return s.size(); }, on(engine))
            .map(texts)
            .collect() == sizes);
  CHECK(invoker(
            0, [](int, std::string& s) { return s.append("!").size() - 1; }, on(engine))
            .map(texts)
            .collect() == sizes);
  CHECK(texts.front() == "ab");
}

#ifndef __SANITIZE_THREAD__
TEST_CASE("a function that can only be moved works where workers are not threads", "[no_tsan]") {
  const auto engine = GENERATE(lenskit::engine::in_process, lenskit::engine::processes);
  invoker inv(
      1, [own = std::make_unique<int>(5)](int m, int x) { return m + *own + x; }, on(engine));
  CHECK(inv.map(std::vector{1, 2}).collect() == std::vector{7, 8});
}
#endif

TEST_CASE("threads refuse a function that cannot be copied") {
  CHECK_THROWS_AS(
      invoker(
          1, [own = std::make_unique<int>(5)](int m, int x) { return m + *own + x; }, on(lenskit::engine::threads)),
      std::invalid_argument);
}
