#include <lenskit/error.hpp>

#include <support/catch.hpp>
#include <support/message_of.hpp>

#include <chrono>
#include <csignal>
#include <exception>
#include <stdexcept>
#include <string>

using lenskit::describe;
using lenskit::tests::mentions;
using namespace std::chrono_literals;

namespace {

template <class Thrown>
std::string described(const Thrown& thrown) {
  return describe(std::make_exception_ptr(thrown));
}

std::size_t count(const std::string& text, const std::string& part) {
  std::size_t found = 0;
  for (auto at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++found;
  return found;
}

struct alien {};

}  // namespace

TEST_CASE("V5: what is known of a death is described in lines, each thing once") {
  const auto text = described(lenskit::worker_died(
      {.index = 17, .worker_pid = 4711, .type_name = {}, .message = {}, .stack = "# 0 first\n# 1 second\n"},
      {.status = {.signal = SIGSEGV, .core_dumped = true, .peak_memory = 3 << 20},
       .elapsed = 1500ms,
       .log_tail = {"one", "two"}}));
  CHECK(text.starts_with("lenskit::worker_died: worker 4711 died in task 17"));
  CHECK(mentions(text, {"\n  task: 17\n", "\n  worker: 4711\n", "\n  signal: SIGSEGV (11), core dumped\n",
                        "\n  running time: 1.500 s\n", "\n  peak memory: 3.0 MiB\n",
                        "\n  stack:\n    # 0 first\n    # 1 second\n", "\n  last log lines:\n    one\n    two\n"}));
  CHECK(count(text, "# 1 second") == 1);
  CHECK(count(text, "two\n") == 1);
  CHECK(text.back() == '\n');
}

TEST_CASE("V5: the fields of the library's other exceptions are described") {
  CHECK(mentions(described(lenskit::worker_died({}, {.status = {.exit_code = 3}})), {"\n  exit code: 3\n"}));
  CHECK(mentions(described(lenskit::task_timeout(
                     {.index = 2, .worker_pid = 5, .type_name = {}, .message = {}, .stack = {}}, 250ms)),
                 {"lenskit::task_timeout: task 2 ran longer", "\n  task: 2\n", "\n  time limit: 0.250 s\n"}));
  CHECK(mentions(described(lenskit::no_space(100, 7, "/dev/shm")),
                 {"lenskit::no_space: ", "\n  needed: 100 bytes\n", "\n  available: 7 bytes in /dev/shm\n"}));
  const auto broken = described(lenskit::broken_pool("workers keep dying", {"killed by SIGSEGV", "killed by SIGBUS"}));
  CHECK(broken ==
        "lenskit::broken_pool: workers keep dying\n  last workers:\n    killed by SIGSEGV\n    killed by SIGBUS\n");
}

TEST_CASE("V5: anything that can be thrown is described") {
  CHECK(describe(nullptr) == "no exception\n");
  CHECK(described(std::out_of_range("no such user")) == "std::out_of_range: no such user\n");
  CHECK(described(std::string("text")) == "std::string: text\n");
  CHECK(described(7) == "int: 7\n");
  CHECK(described(alien()) == "(anonymous namespace)::alien\n");
}

TEST_CASE("V5: exceptions that were thrown in answer to others are all described") {
  std::exception_ptr outer;
  try {
    try {
      throw std::invalid_argument("inner");
    } catch (...) {
      std::throw_with_nested(std::runtime_error("outer"));
    }
  } catch (...) {
    outer = std::current_exception();
  }
  CHECK(describe(outer) == "std::runtime_error: outer\nin answer to std::invalid_argument: inner\n");
}
