// T4: from nothing to the first result: with a small model, and with one of 1 GB that is inherited, stored in shared
// memory, or stored before.
#include <support/child.hpp>
#include <support/contest.hpp>
#include <support/pipe_farm.hpp>

#include <lenskit/parallel.hpp>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/prctl.h>

#include <array>
#include <cstring>
#include <memory>
#include <stdexcept>
#include <thread>
#include <vector>

namespace {

constexpr std::array one{7};

struct factors {
  lenskit::shared_array<float> items;
  template <class Archive>
  void serialize(Archive& ar, unsigned) {
    ar& items;
  }
};

constexpr auto read_one = [](const auto& model, int x) { return static_cast<float>(x) * model.items[0]; };

factors make_model(std::size_t bytes) { return {std::vector<float>(bytes / sizeof(float), 1.0F)}; }

void expect(float got) {
  if (got != static_cast<float>(one[0])) throw std::runtime_error("a result is wrong");
}

double lenskit_seconds(auto&& model, lenskit::persist_method method) {
  std::unique_ptr<lenskit::invoker<factors, decltype(read_one)>> pool;  // ending it is not measured
  return bench::seconds_of([&] {
    pool = std::make_unique<lenskit::invoker<factors, decltype(read_one)>>(
        model, read_one, lenskit::invoker_options{.n_jobs = bench::workers, .persist_method = method});
    expect(*pool->map(one).begin());
  });
}

// As many bare forks, and one round trip.
double forks_seconds(const factors& model) {
  std::unique_ptr<bench::pipe_farm<int, float>> farm;
  return bench::seconds_of([&] {
    farm = std::make_unique<bench::pipe_farm<int, float>>(bench::workers, 1, [&](int x) { return read_one(model, x); });
    farm->map(
        1, 1, [](std::size_t) { return one[0]; }, expect);
  });
}

// The same by a forked process in between: what a pool starts with that neither forks beside the program's threads
// twice nor reaps children of the program's.
double forks_by_a_child_seconds(const factors& model) {
  std::array<int, 2> tasks{};
  std::array<int, 2> results{};
  if (::pipe2(tasks.data(), O_CLOEXEC) != 0 || ::pipe2(results.data(), O_CLOEXEC) != 0) bench::fail("pipe");
  const auto serve = [&](pid_t parent) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != parent) return;  // it was ended before
    int x = 0;
    while (bench::read_all(tasks[0], &x, sizeof x)) {
      const float y = read_one(model, x);
      if (!bench::write_all(results[1], &y, sizeof y)) return;
    }
  };
  const auto spawn = [&] {
    std::vector<bench::child> workers;
    const auto self = ::getpid();
    for (int i = 0; i < bench::workers; ++i) workers.emplace_back([&] { serve(self); });
    ::pause();
  };
  std::unique_ptr<bench::child> spawner;
  const auto taken = bench::seconds_of([&] {
    spawner = std::make_unique<bench::child>(spawn);
    float got = 0;
    if (!bench::write_all(tasks[1], one.data(), sizeof one[0])) bench::fail("write");
    if (!bench::read_all(results[0], &got, sizeof got)) bench::fail("read");
    expect(got);
  });
  spawner.reset();
  for (const int fd : {tasks[0], tasks[1], results[0], results[1]}) ::close(fd);
  return taken;
}

class fresh_segment {
 public:
  explicit fresh_segment(std::size_t bytes) : fd_(::memfd_create("bench", MFD_CLOEXEC)) {
    if (fd_ < 0 || ::ftruncate(fd_, static_cast<off_t>(bytes)) != 0) bench::fail("memfd_create");
  }
  ~fresh_segment() { ::close(fd_); }
  [[nodiscard]] int fd() const { return fd_; }

 private:
  int fd_;
};

// The share of `data` that each of so many threads copies with `copy(offset, bytes)`.
void in_threads(std::size_t threads, std::size_t bytes, auto&& copy) {
  constexpr std::size_t block = std::size_t{4} << 20;
  std::vector<std::jthread> crew;
  const auto share = [&, threads](std::size_t first) {
    for (auto at = first * block; at < bytes; at += threads * block) copy(at, std::min(block, bytes - at));
  };
  for (std::size_t i = 1; i < threads; ++i) crew.emplace_back(share, i);
  share(0);
}

double pwrite_seconds(const factors& model, std::size_t threads) {
  const auto bytes = std::as_bytes(model.items.span());
  const fresh_segment segment(bytes.size());
  return bench::seconds_of([&] {
    in_threads(threads, bytes.size(), [&](std::size_t at, std::size_t count) {
      if (::pwrite(segment.fd(), bytes.data() + at, count, static_cast<off_t>(at)) != static_cast<ssize_t>(count))
        bench::fail("pwrite");
    });
  });
}

double memcpy_seconds(const factors& model, std::size_t threads) {
  const auto bytes = std::as_bytes(model.items.span());
  const fresh_segment segment(bytes.size());
  void* where = MAP_FAILED;
  const auto taken = bench::seconds_of([&] {
    where = ::mmap(nullptr, bytes.size(), PROT_READ | PROT_WRITE, MAP_SHARED, segment.fd(), 0);
    if (where == MAP_FAILED) bench::fail("mmap");
    ::madvise(where, bytes.size(), MADV_HUGEPAGE);  // the library asks for them too; refused alike
    in_threads(threads, bytes.size(), [&](std::size_t at, std::size_t count) {
      std::memcpy(static_cast<std::byte*>(where) + at, bytes.data() + at, count);
    });
  });
  ::munmap(where, bytes.size());
  return taken;
}

void small_model() {
  const auto model = make_model(sizeof(float));
  bench::contest contest("T4", "small model", "s");
  contest.add("lenskit", [&] { return lenskit_seconds(model, lenskit::persist_method::automatic); });
  contest.add("bare forks", [&] { return forks_seconds(model); });
  contest.add("bare forks by a child", [&] { return forks_by_a_child_seconds(model); });
  contest.run(bench::sized(31, 15));
}

void large_model(std::size_t bytes) {
  const auto model = make_model(bytes);
  bench::contest inherit("T4", "1 GB inherited", "s");
  inherit.add("lenskit", [&] { return lenskit_seconds(model, lenskit::persist_method::inherit); });
  inherit.add("bare forks", [&] { return forks_seconds(model); });
  inherit.run(bench::sized(9, 5));

  bench::contest shm("T4", "1 GB in shared memory", "s");
  shm.add("lenskit", [&] { return lenskit_seconds(model, lenskit::persist_method::shm); });
  for (const std::size_t threads : {1U, 2U}) {
    const auto by = " by " + std::to_string(threads) + " threads";
    shm.add("pwrite" + by, [&, threads] { return pwrite_seconds(model, threads); });
    shm.add("memcpy" + by, [&, threads] { return memcpy_seconds(model, threads); });
  }
  shm.run(bench::sized(5, 3));
}

// The original is gone: it would be forked, too.
void stored_model(std::size_t bytes) {
  auto stored = lenskit::persist(make_model(bytes), {.method = lenskit::persist_method::shm});
  auto small = lenskit::persist(make_model(sizeof(float)), {.method = lenskit::persist_method::shm});
  bench::keep(&stored.get());
  bench::contest contest("T4", "1 GB stored before", "s");
  contest.add("lenskit", [&] { return lenskit_seconds(stored, lenskit::persist_method::automatic); });
  contest.add("lenskit, small model", [&] { return lenskit_seconds(small, lenskit::persist_method::automatic); });
  contest.run(bench::sized(31, 15));
}

}  // namespace

int main(int argc, char** argv) {
  bench::initialize(argc, argv);
  constexpr std::size_t gigabyte = std::size_t{1} << 30;
  // What one leaves in memory would be forked by the next.
  bench::run_apart(small_model);
  bench::run_apart([] { stored_model(gigabyte); });
  bench::run_apart([] { large_model(gigabyte); });
}
