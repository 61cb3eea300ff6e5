// D10 and D11: results that cannot be stored, and exceptions that can hardly be told.
#include <lenskit/invoker.hpp>
#include <support/catch.hpp>
#include <support/engines.hpp>
#include <support/in_child.hpp>
#include <support/message_of.hpp>

#include <boost/serialization/split_member.hpp>
#include <boost/serialization/string.hpp>

#include <sys/resource.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <exception>
#include <fstream>
#include <new>
#include <ranges>
#include <stdexcept>
#include <string>
#include <system_error>
#include <tuple>
#include <utility>
#include <vector>

using lenskit::invoker;
using lenskit::serialization_error;
using lenskit::task_error;
using lenskit::tests::mentions;
using lenskit::tests::message_of;
using lenskit::tests::on;

#ifndef __SANITIZE_THREAD__
namespace {

constexpr auto processes = lenskit::engine::processes;

// Throws while it is stored: at once or behind a megabyte, an exception or something else.
struct unstorable {
  enum class way { fine, at_once, late, nothing_standard, out_of_memory } when = way::fine;
  std::string text{};

  template <class Archive>
  void save(Archive& ar, unsigned) const {
    if (when == way::at_once) throw std::invalid_argument("not at all");
    if (when == way::out_of_memory) throw std::bad_alloc();
    const std::string megabyte(when == way::fine ? 1 : std::size_t{1} << 20, 'm');
    ar << megabyte;
    if (when == way::late) throw std::invalid_argument("not to the end");
    if (when == way::nothing_standard) throw 42;
    ar << text;
  }
  template <class Archive>
  void load(Archive& ar, unsigned) {
    std::string skipped;
    ar >> skipped >> text;
  }
  template <class Archive>
  void serialize(Archive& ar, unsigned version) {
    boost::serialization::split_member(ar, *this, version);
  }
};

struct says_nothing : std::exception {
  [[nodiscard]] const char* what() const noexcept override { return nullptr; }
};
struct throws_when_copied : std::runtime_error {
  throws_when_copied() : std::runtime_error("do not copy me") {}
  throws_when_copied(const throws_when_copied& other) : std::runtime_error(other) {
    throw std::logic_error("the copy has thrown");
  }
};
struct neither_standard_nor_small {
  char room[5000] = {};
};

// Thrown without being copied; every copy that somebody makes throws.
std::exception_ptr uncopyable_exception() {
  try {
    throw throws_when_copied();
  } catch (...) {
    return std::current_exception();
  }
}

}  // namespace

TEST_CASE("D10: a result that cannot be stored is its own task's error, wherever storing it throws", "[no_tsan]") {
  using way = unstorable::way;
  struct expectation {
    way when;
    std::string message;
  };
  const auto& expected = GENERATE(values<expectation>({{way::at_once, "not at all"},
                                                       {way::late, "not to the end"},
                                                       {way::nothing_standard, "no std::exception"},
                                                       {way::out_of_memory, "bad_alloc"}}));
  const std::size_t chunk = GENERATE(0U, 1U, 20U);
  auto options = on(processes);
  options.chunk_size = chunk;
  invoker inv(
      0,
      [when = expected.when](int, int x) {
        return unstorable{x == 5 || x == 6 ? when : way::fine, std::to_string(x)};
      },
      options);
  int index = 0;
  for (const auto& each : inv.map_outcomes(std::views::iota(0, 20))) {
    INFO("index " << index);
    REQUIRE(each.has_value() == (index != 5 && index != 6));
    if (each.has_value()) {
      CHECK(each->text == std::to_string(index));
    } else {
      CHECK(mentions(message_of<serialization_error>([&] { each.value(); }), {expected.message}));
      try {
        each.value();
      } catch (const task_error& where) {
        CHECK(static_cast<int>(where.index()) == index);
      }
    }
    ++index;
  }
  CHECK(index == 20);
}

TEST_CASE("D11: an exception that can hardly be told arrives as what can be told of it", "[no_tsan]") {
  constexpr std::size_t long_text = std::size_t{3} << 20;
  invoker inv(
      0,
      [](int, int x) {
        switch (x) {
          case 1: throw says_nothing();
          case 2: throw neither_standard_nor_small();
          case 3: throw std::runtime_error(std::string(long_text, 'w'));
          case 4: throw std::string("derived from nothing");
          case 5: throw "a pointer";
          case 6: try { throw std::out_of_range("inner");
            } catch (...) {
              std::throw_with_nested(std::system_error(EACCES, std::generic_category(), "outer"));
            }
          default: return x;
        }
      },
      on(processes));
  const auto outcomes = inv.map_outcomes(std::views::iota(0, 8)).collect();
  const auto thrown = [&](std::size_t index) { outcomes[index].value(); };
  const auto type_of = [&](std::size_t index) {
    try {
      thrown(index);
    } catch (const task_error& where) {
      CHECK(where.index() == index);
      return where.type_name();
    }
    return std::string("none");
  };
  CHECK(outcomes[0].value() == 0);
  CHECK(outcomes[7].value() == 7);
  for (const std::size_t index : {1U, 2U, 3U, 4U, 5U}) CHECK_THROWS_AS(thrown(index), std::runtime_error);
  CHECK(mentions(type_of(1), {"says_nothing"}));
  CHECK(mentions(type_of(2), {"neither_standard_nor_small"}));
  CHECK(message_of([&] { thrown(3); }).size() == long_text);
  CHECK(mentions(type_of(4), {"string"}));
  CHECK(mentions(type_of(5), {"char"}));
  try {
    thrown(6);
    CHECK(false);
  } catch (const std::system_error& outer) {
    CHECK(outer.code() == std::errc::permission_denied);
    CHECK_THROWS_AS(std::rethrow_if_nested(outer), std::out_of_range);
  }
}

TEST_CASE("D11: an exception whose copy throws arrives with its type and text", "[no_tsan]") {
  invoker inv(
      0,
      [](int, int x) {
        if (x == 3) std::rethrow_exception(uncopyable_exception());
        return x;
      },
      on(processes));
  int index = 0;
  for (const auto& each : inv.map_outcomes(std::views::iota(0, 10))) {
    REQUIRE(each.has_value() == (index != 3));
    if (each.has_error()) {
      CHECK(message_of<std::runtime_error>([&] { each.value(); }) == "do not copy me");
      CHECK_THROWS_AS(each.value(), task_error);
    }
    ++index;
  }
  CHECK(index == 10);
}

namespace {

// Leaves this process so many bytes to map, while it lives.
class little_memory {
 public:
  explicit little_memory(rlim_t left) {
    getrlimit(RLIMIT_AS, &before_);
    rlim_t pages = 0;
    std::ifstream("/proc/self/statm") >> pages;
    const rlimit tight{pages * static_cast<rlim_t>(sysconf(_SC_PAGESIZE)) + left, before_.rlim_max};
    setrlimit(RLIMIT_AS, &tight);
  }
  little_memory(const little_memory&) = delete;
  little_memory& operator=(const little_memory&) = delete;
  ~little_memory() { setrlimit(RLIMIT_AS, &before_); }

 private:
  rlimit before_{};
};

}  // namespace

TEST_CASE("V7: a result larger than the caller may map is its task's failure, names its size, and costs no worker",
          "[no_tsan][no_asan]") {
  const auto check = [](std::size_t left_mib) {
    invoker inv(0,
                [](int, int mib) { return std::pair(getpid(), std::string(static_cast<std::size_t>(mib) << 20, 'x')); },
                {.n_jobs = 1, .engine = processes, .chunk_size = 1});
    const auto worker = inv.map(std::vector{1}).collect().at(0).first;
    const little_memory tight(left_mib << 20);
    std::vector<bool> failed;
    std::string why;
    for (auto& result : inv.map_outcomes(std::vector{1, 256, 1})) {
      failed.push_back(!result);
      if (result && result->first != worker) return false;
      if (!result) why = message_of<lenskit::serialization_error>([&] { (void)result.value(); });
    }
    return failed == std::vector<bool>{false, true, false} && why.find("268435") != std::string::npos;
  };
  CHECK(lenskit::tests::holds_in_child([&] { return check(100); }));  // no room for the message
  CHECK(lenskit::tests::holds_in_child([&] { return check(400); }));  // none for the value beside it
}
#endif
