// H4: a root directory without /proc, as in a small container or after chroot.
#include <lenskit/invoker.hpp>
#include <lenskit/proc_count.hpp>
#include <support/catch.hpp>
#include <support/engines.hpp>
#include <support/file_tree.hpp>
#include <support/in_child.hpp>

#include <sys/mount.h>

#include <sched.h>
#include <signal.h>
#include <unistd.h>

#include <filesystem>
#include <ranges>
#include <vector>

#ifndef __SANITIZE_THREAD__

namespace fs = std::filesystem;
using lenskit::invoker;
using lenskit::persist;
using lenskit::persist_method;
using lenskit::tests::file_tree;
using lenskit::tests::holds_in_child;

namespace {

constexpr unsigned long with_all_below = MS_REC | MS_PRIVATE;

// In this process and its children alone. False where that is not allowed.
bool hide_proc() {
  if (unshare(CLONE_NEWNS) != 0 && unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0) return false;
  return mount("none", "/", nullptr, with_all_below, nullptr) == 0 &&
         mount("none", "/proc", "tmpfs", MS_RDONLY, nullptr) == 0 && !fs::exists("/proc/self");
}

const std::vector<double> model(1000, 2.0);

}  // namespace

TEST_CASE("H4: without /proc a model goes to a file, under a chosen name too, and nothing is left of it", "[no_tsan]") {
  if (!holds_in_child(hide_proc)) LENSKIT_SKIP("/proc cannot be hidden here");
  CHECK(holds_in_child([] {
    const file_tree tree;
    if (!hide_proc()) return false;
    {
      const auto stored = persist(model, {.method = persist_method::file, .dir = tree.root()});
      if (stored.get()[5] != 2.0 || fs::is_empty(tree.root())) return false;
    }
    if (!fs::is_empty(tree.root())) return false;
    const auto chosen = tree.root() / "chosen";
    for (int again = 0; again < 2; ++again) {
      const auto kept = persist(model, {.method = persist_method::file, .file = chosen});
      if (kept.get()[5] != 2.0) return false;
    }
    return fs::exists(chosen) && std::distance(fs::directory_iterator(tree.root()), fs::directory_iterator()) == 1;
  }));
}

TEST_CASE("H4: without /proc workers are counted, get their model either way, and are replaced", "[no_tsan]") {
  if (!holds_in_child(hide_proc)) LENSKIT_SKIP("/proc cannot be hidden here");
  const auto method = GENERATE(persist_method::shm, persist_method::file);
  CHECK(holds_in_child([&] {
    if (!hide_proc() || lenskit::proc_count() < 1) return false;
    invoker inv(model,
                [](const std::vector<double>& m, int x) {
                  if (x == 3) raise(SIGSEGV);
                  return m[static_cast<std::size_t>(x)] * x;
                },
                {.n_jobs = 2, .engine = lenskit::engine::processes, .persist_method = method});
    int right = 0;
    int index = 0;
    for (const auto& each : inv.map_outcomes(std::views::iota(0, 20))) {
      right += each ? *each == 2.0 * index : index == 3;
      ++index;
    }
    return right == 20;
  }));
}

#endif
