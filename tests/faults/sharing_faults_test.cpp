// What can go wrong with models that processes share: failures S1 to S13, but for S9 (model_transfer_faults_test.cpp).
#include <lenskit/detail/os/system.hpp>
#include <lenskit/error.hpp>
#include <lenskit/persist.hpp>

#include <support/catch.hpp>
#include <support/file_tree.hpp>
#include <support/in_child.hpp>
#include <support/message_of.hpp>
#include <support/shared_model.hpp>
#include <support/syscall_faults.hpp>

#include <sched.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace d = lenskit::detail;
namespace fs = std::filesystem;
using lenskit::persist;
using lenskit::persist_error;
using lenskit::persist_method;
using lenskit::persisted_model;
using lenskit::shared_array;
using lenskit::tests::constant_trouble;
using lenskit::tests::fault_at;
using lenskit::tests::file_tree;
using lenskit::tests::files_in;
using lenskit::tests::holds_in_child;
using lenskit::tests::kill_this_process;
using lenskit::tests::make;
using lenskit::tests::mentions;
using lenskit::tests::message_of;
using lenskit::tests::model;
using lenskit::tests::survives;

namespace {

void flip_bit(const fs::path& path, std::streamoff at, int bit) {
  std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
  file.seekg(at);
  const auto byte = static_cast<char>(file.get());
  file.seekp(at);
  file.put(static_cast<char>(byte ^ (1 << bit)));
}

}  // namespace

TEST_CASE("S1: a process that is killed at any call while it stores leaves nothing that the next one does not sweep") {
  const file_tree tree;
  const auto names = GENERATE(d::naming::named, d::naming::nameless);
  const auto value = make(3'000'000);
  int killed = 0;
  for (int call = 1;; ++call) {
    const bool survived = survives([&] {
      const fault_at fault(call, kill_this_process);
      const auto stored = d::persist_as<model>(std::make_shared<const model>(value), {.dir = tree.root()}, names);
      if (fault.reached()) kill_this_process();
    });
    if (survived) break;
    ++killed;
    if (names == d::naming::nameless) REQUIRE(files_in(tree.root()) == 0);
    REQUIRE(files_in(tree.root()) <= 1);
    persist(1, {.dir = tree.root()}).close();
    REQUIRE(files_in(tree.root()) == 0);
  }
  CHECK(killed > 10);
}

TEST_CASE("S1: a process that is killed while it holds a file is swept after, and one that lives is not") {
  const file_tree tree;
  CHECK_FALSE(survives([&] {
    const auto held = persist(make(10), {.dir = tree.root()});
    kill_this_process();
  }));
  CHECK(files_in(tree.root()) == 1);
  auto living = persist(make(10), {.dir = tree.root()});
  CHECK(files_in(tree.root()) == 1);
  const auto another = persist(make(10), {.dir = tree.root()});
  CHECK(fs::exists(living.path()));
  CHECK(survives([&] { persist(make(10), {.dir = tree.root()}).close(); }));
  CHECK(fs::exists(living.path()));
}

TEST_CASE("S2: a reader outlives the owner, and its closing removes nothing") {
  const auto method = GENERATE(persist_method::shm, persist_method::file);
  auto owner = std::make_optional(persist(make(1000), {.method = method}));
  d::writer out;
  out.carry_descriptors(true);
  d::encode(out, *owner);
  auto attached = out.take_attachments();
  d::reader in(std::span<const std::byte>(out.data(), out.size()), attached);
  auto reader = d::decode<persisted_model<model>>(in);
  CHECK(owner->is_owner());
  CHECK_FALSE(reader.is_owner());
  const auto path = owner->path();
  SECTION("the reader closes first") {
    reader.close();
    CHECK((path.empty() || fs::exists(path)));
    CHECK(owner->get() == make(1000));
  }
  SECTION("the owner closes first") {
    owner.reset();
    CHECK_FALSE(fs::exists(path));
    CHECK(reader.get() == make(1000));
  }
}

TEST_CASE("S3: a full file system is a no_space that says how much is missing where, and leaves nothing") {
  if (::geteuid() != 0) LENSKIT_SKIP("only root can mount");
  struct statx root {};
  ::statx(AT_FDCWD, "/", 0, STATX_BASIC_STATS, &root);
  if ((root.stx_attributes & STATX_ATTR_MOUNT_ROOT) == 0) LENSKIT_SKIP("in a chroot no mount can be kept private");
  const file_tree tree;
  const auto small = tree.root() / "small";
  fs::create_directory(small);
  CHECK(holds_in_child([&] {
    if (::unshare(CLONE_NEWNS) != 0 || ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
        ::mount("tmpfs", small.c_str(), "tmpfs", 0, "size=16m,mode=700") != 0)
      throw std::runtime_error("cannot mount a small file system");
    const auto fits = persist(make(2'000'000), {.dir = small});
    if (!(fits.get() == make(2'000'000))) return false;
    try {
      (void)persist(make(8'000'000), {.dir = small});
      return false;
    } catch (const lenskit::no_space& e) {
      return e.needed() > 32'000'000 && e.available() < 16 << 20 && e.available() > 1 << 20 &&
             e.where() == small.string() && files_in(small) == 1;
    }
  }));
}

TEST_CASE("S3: memory that runs out while a segment is filled is a no_space") {
  struct full final : d::sys::interceptor {
    full() { d::sys::intercept(this); }
    ~full() override { d::sys::intercept(nullptr); }
    int fail(d::sys::call which) noexcept override {
      return which == d::sys::call::pwrite && ++writes > 2 ? ENOSPC : 0;
    }
    std::atomic<int> writes{0};
  };
  const auto value = make(3'000'000);
  const auto shm = [&] {
    const full hook;
    (void)persist(value, {.method = persist_method::shm});
  };
  CHECK_THROWS_AS(shm(), lenskit::no_space);
}

TEST_CASE("S3: when the choice is left open, a model for which memory is short goes to a file") {
  struct no_memory final : d::sys::interceptor {
    no_memory() { d::sys::intercept(this); }
    ~no_memory() override { d::sys::intercept(nullptr); }
    int fail(d::sys::call which) noexcept override {
      in_memory = in_memory || which == d::sys::call::memfd_create;
      if (which == d::sys::call::fallocate) in_memory = false;
      return in_memory && which == d::sys::call::ftruncate ? ENOSPC : 0;
    }
    bool in_memory = false;
  };
  const no_memory hook;
  const auto stored = persist(make(10));
  CHECK(stored.method() == persist_method::file);
  CHECK(stored.get() == make(10));
}

TEST_CASE("S4: nobody can change, shrink or map for writing what is shared") {
  const auto method = GENERATE(persist_method::shm, persist_method::file);
  auto stored = persist(make(1000), {.method = method});
  auto* const data = const_cast<int*>(stored.get().items.data());
  auto* const page = reinterpret_cast<void*>(reinterpret_cast<std::uintptr_t>(data) / 4096 * 4096);
  CHECK(::mprotect(page, 4096, PROT_READ | PROT_WRITE) != 0);
  CHECK_FALSE(survives([&] { *const_cast<volatile int*>(data) = 0; }));
  CHECK(stored.get().items[0] == 7);
  if (method != persist_method::shm) return;
  int segment = -1;
  for (const auto& entry : fs::directory_iterator("/proc/self/fd")) {
    std::error_code error;
    if (fs::read_symlink(entry.path(), error).native().find("lenskit-model") != std::string::npos)
      segment = std::stoi(entry.path().filename());
  }
  REQUIRE(segment >= 0);
  CHECK(::ftruncate(segment, 0) != 0);
  CHECK(::pwrite(segment, "x", 1, 0) != 1);
  CHECK(::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, segment, 0) == MAP_FAILED);
  struct stat status {};
  REQUIRE(::fstat(segment, &status) == 0);
  CHECK((status.st_mode & 07777U) == 0600);
}

TEST_CASE("S7: a link planted where the user's file goes is replaced, not followed") {
  file_tree tree;
  const auto victim = tree.write("victim", "precious");
  fs::create_symlink(victim, tree.root() / "als.model");
  const auto stored = persist(make(10), {.file = tree.root() / "als.model"});
  CHECK(fs::file_size(victim) == 8);
  CHECK_FALSE(fs::is_symlink(tree.root() / "als.model"));
}

TEST_CASE("S8: a file that has a name is complete, wherever its writer was killed") {
  const file_tree tree;
  const auto path = tree.root() / "kept";
  const auto value = make(3'000'000);
  persist(make(10), {.file = path}).close();
  const auto old_size = fs::file_size(path);
  int kills = 0;
  for (int call = 1;; ++call) {
    const bool survived = survives([&] {
      const fault_at fault(call, kill_this_process);
      const auto stored = persist(value, {.file = path});
    });
    REQUIRE((fs::file_size(path) == old_size || fs::file_size(path) > 12'000'000));
    if (survived) break;
    ++kills;
  }
  CHECK(kills > 10);
  CHECK(fs::file_size(path) > 12'000'000);
  persist(make(10), {.dir = tree.root()}).close();
  CHECK(files_in(tree.root()) == 1);
}

TEST_CASE("S10: a damaged or cut off file is refused when the model is loaded") {
  const file_tree tree;
  const auto refused = [&](auto damage) {
    const auto stored = persist(make(3'000'000), {.dir = tree.root()});
    damage(stored.path());
    return message_of<persist_error>([&] { (void)stored.get(); });
  };
  for (const std::streamoff at : {0, 9, 40, 95, 96, 110, 4096, 5'000'000, 12'000'000}) {
    CAPTURE(at);
    CHECK(mentions(refused([&](const fs::path& path) { flip_bit(path, at, 3); }), {"cannot load model"}));
  }
  for (const std::uintmax_t size : {0U, 50U, 96U, 5000U, 12'000'000U})
    CHECK(mentions(refused([&](const fs::path& path) { fs::resize_file(path, size); }), {"cannot load model", "size"}));
}

TEST_CASE("S11: handle, pool and arrays may end in any order") {
  const auto method = GENERATE(persist_method::shm, persist_method::file, persist_method::inherit);
  const auto order = GENERATE(0, 1, 2, 3, 4, 5);
  auto stored = std::make_optional(persist(make(1000), {.method = method}));
  if (method == persist_method::inherit) stored.emplace(persist(model(make(1000)), {.method = method}));
  auto pool = d::share_model(*stored);
  auto items = std::make_optional(pool->items);
  constexpr int orders[6][3] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};
  for (const int which : orders[order]) {
    if (which == 0) stored.reset();
    if (which == 1) pool.reset();
    if (which == 2) items.reset();
    if (stored) CHECK(stored->get() == make(1000));
    if (pool) CHECK(*pool == make(1000));
    if (items) CHECK((*items)[999] == 7);
  }
}

TEST_CASE("S12: models of no bytes and of one byte work by every method") {
  struct nothing {};
  const auto method = GENERATE(persist_method::shm, persist_method::file, persist_method::inherit);
  const char one = 'x';
  const nothing none;
  const shared_array<double> no_items;
  const std::string no_text;
  const std::vector<shared_array<char>> arrays{{}, {'y'}, {}};
  CHECK(persist(one, {.method = method}).get() == 'x');
  CHECK_NOTHROW(persist(none, {.method = method}).get());
  CHECK(persist(no_items, {.method = method}).get().empty());
  CHECK(persist(no_text, {.method = method}).get().empty());
  CHECK(persist(arrays, {.method = method}).get() == arrays);
}

TEST_CASE("S13: a model that no memory can hold is refused before any of it is written") {
  // The elements are never touched, so that they cost nothing here.
  const std::size_t bytes = std::size_t{1} << 44;
  void* const untouched = ::mmap(nullptr, bytes, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (untouched == MAP_FAILED) LENSKIT_SKIP("no address space");
  {
    const auto huge = d::array_access::make<char>({}, static_cast<const char*>(untouched), bytes);
    CHECK_THROWS_AS(persist(huge, {.method = persist_method::shm}), lenskit::no_space);
  }
  ::munmap(untouched, bytes);
}

TEST_CASE(
    "G5: every call that fails while a model is stored and loaded is an error of ours, or none, and leaves nothing") {
  const auto method = GENERATE(persist_method::shm, persist_method::file);
  const file_tree tree;
  const auto error = GENERATE(EIO, ENOSPC, EMFILE, EINTR);
  const auto value = make(3'000'000);
  int refused = 0, wrong = 0;
  for (int call = 1;; ++call) {
    const fault_at fault(call, [&] { return error; });
    try {
      auto stored =
          method == persist_method::file ? persist(value, {.dir = tree.root()}) : persist(value, {.method = method});
      wrong += stored.get() == value ? 0 : 1;
    } catch (const persist_error&) {
      ++refused;
    }
    if (!fault.reached()) break;
    d::sys::intercept(nullptr);
    persist(1, {.dir = tree.root()}).close();
    REQUIRE(files_in(tree.root()) == 0);
  }
  CHECK(wrong == 0);
  CHECK(refused > 0);
}

TEST_CASE("interrupted calls and short writes store the same model") {
  const auto method = GENERATE(persist_method::shm, persist_method::file);
  const auto value = make(500'000);
  const constant_trouble hook(1001);
  CHECK(persist(value, {.method = method}).get() == value);
}
