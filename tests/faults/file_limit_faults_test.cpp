// H2: a limit on the size of files (ulimit -f).
#include <lenskit/error.hpp>
#include <lenskit/invoker.hpp>
#include <lenskit/persist.hpp>
#include <support/catch.hpp>
#include <support/engines.hpp>
#include <support/file_tree.hpp>
#include <support/in_child.hpp>

#include <sys/resource.h>

#include <signal.h>

#include <cstddef>
#include <filesystem>
#include <functional>
#include <ranges>
#include <string>
#include <vector>

using lenskit::invoker;
using lenskit::no_space;
using lenskit::persist;
using lenskit::persist_method;
using lenskit::tests::file_tree;
using lenskit::tests::holds_in_child;

namespace {

constexpr std::size_t model_bytes = std::size_t{2} << 20;
const std::vector<float>& model() {
  static const std::vector<float> made(model_bytes / sizeof(float), 1.5F);
  return made;
}

void limit_files_to(std::size_t bytes) {
  rlimit limit{};
  getrlimit(RLIMIT_FSIZE, &limit);
  limit.rlim_cur = bytes;
  setrlimit(RLIMIT_FSIZE, &limit);
}

bool is_refused(const std::function<void()>& store, std::size_t limit) {
  try {
    store();
    return false;
  } catch (const no_space& error) {
    return error.available() == limit && error.needed() > limit &&
           std::string(error.what()).find("RLIMIT_FSIZE") != std::string::npos;
  }
}

volatile sig_atomic_t handled = 0;

}  // namespace

TEST_CASE("H2: a model larger than a file may be is a no_space that names the limit, and leaves nothing") {
  const auto method = GENERATE(persist_method::shm, persist_method::file, persist_method::automatic);
  const std::size_t limit = GENERATE(std::size_t{0}, std::size_t{4096}, model_bytes);
  CHECK(holds_in_child([&] {
    const file_tree tree;
    setenv("TMPDIR", tree.root().c_str(), 1);
    limit_files_to(limit);
    return is_refused([&] { (void)persist(model(), {.method = method}); }, limit) &&
           std::filesystem::is_empty(tree.root());
  }));
}

TEST_CASE("H2: a model that is just as large as a file may be is stored") {
  const auto method = GENERATE(persist_method::shm, persist_method::file);
  CHECK(holds_in_child([&] {
    constexpr std::size_t room_for_the_rest = std::size_t{64} << 10;
    limit_files_to(model_bytes + room_for_the_rest);
    return persist(model(), {.method = method}).get() == model();
  }));
}

TEST_CASE("H2: the program's own way with SIGXFSZ stays as it was") {
  const auto method = GENERATE(persist_method::shm, persist_method::file);
  CHECK(holds_in_child([&] {
    constexpr std::size_t limit = 4096;
    limit_files_to(limit);
    const auto refused = [&] { return is_refused([&] { (void)persist(model(), {.method = method}); }, limit); };
    const auto mask_has_it = [] {
      sigset_t mask;
      pthread_sigmask(SIG_BLOCK, nullptr, &mask);
      return sigismember(&mask, SIGXFSZ) == 1;
    };
    signal(SIGXFSZ, [](int) { handled = handled + 1; });
    if (!refused() || handled != 0 || mask_has_it()) return false;
    raise(SIGXFSZ);
    if (handled != 1) return false;
    signal(SIGXFSZ, SIG_IGN);
    if (!refused() || signal(SIGXFSZ, SIG_IGN) != SIG_IGN) return false;
    // One of its own that waits is not taken away from it.
    signal(SIGXFSZ, [](int) { handled = handled + 1; });
    sigset_t exceeded;
    sigemptyset(&exceeded);
    sigaddset(&exceeded, SIGXFSZ);
    pthread_sigmask(SIG_BLOCK, &exceeded, nullptr);
    raise(SIGXFSZ);
    if (!refused() || handled != 1 || !mask_has_it()) return false;
    pthread_sigmask(SIG_UNBLOCK, &exceeded, nullptr);
    return handled == 2;
  }));
}

#ifndef __SANITIZE_THREAD__
TEST_CASE("H2: a pool whose model is too large for a file is refused, and one that inherits it works", "[no_tsan]") {
  CHECK(holds_in_child([] {
    constexpr std::size_t limit = 4096;
    limit_files_to(limit);
    const auto fn = [](const std::vector<float>& m, int x) { return m[static_cast<std::size_t>(x)] * 2; };
    auto options = lenskit::tests::on(lenskit::engine::processes);
    options.persist_method = persist_method::shm;
    if (!is_refused([&] { const invoker inv(model(), fn, options); }, limit)) return false;
    options.persist_method = persist_method::inherit;
    invoker inv(model(), fn, options);
    return inv.map(std::views::iota(0, 10)).collect() == std::vector<float>(10, 3.0F);
  }));
}
#endif
