#include <lenskit/detail/engines/local_worker.hpp>
#include <lenskit/detail/wire/reader.hpp>
#include <lenskit/detail/worker/typed_tasks.hpp>
#include <lenskit/random.hpp>

#include <support/catch.hpp>

#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace {

namespace d = lenskit::detail;

using task = std::function<int(const int&, int)>;
constexpr d::task_body body = &d::run_tasks<int, task, int>;

// Numbers of one call, given to a worker whose task is the test's.
class given {
 public:
  explicit given(task run)
      : worker(4, std::make_shared<d::typed_workplace<int, task>>(std::make_shared<const int>(100), std::move(run)),
               [this](std::list<d::results_event> results) { events.splice(events.end(), results); }) {}

  d::assignment work(std::uint64_t chunk, const std::vector<int>& numbers) {
    d::writer into;
    into.put(numbers.data(), numbers.size() * sizeof(int));
    auto arguments = std::make_shared<d::encoded_arguments>();
    arguments->record_bytes = sizeof(int);
    arguments->block = into.release();
    d::assignment made;
    made.chunk = chunk;
    made.count = static_cast<std::uint32_t>(numbers.size());
    made.send_every_us = 60'000;
    made.plan = plan_;
    made.argument_bytes = {arguments->block.data.get(), arguments->block.size};
    made.arguments = std::move(arguments);
    return made;
  }
  static std::string said(const d::results_event& event) {
    auto text = std::to_string(event.worker) + "/" + std::to_string(event.head.chunk) + ":";
    for (d::reader in(event.part.front().runs()); in.left() > 0;) {
      const auto run = in.get<d::run_head>();
      for (std::uint32_t i = 0; i < run.count; ++i) text += " " + std::to_string(in.get<int>());
    }
    return text;
  }
  std::string said() {
    std::string all;
    for (const auto& each : std::exchange(events, {})) all += (all.empty() ? "" : ", ") + said(each);
    return all;
  }

  std::list<d::results_event> events;
  d::local_worker worker;

 private:
  std::shared_ptr<const d::call_plan> plan_ =
      std::make_shared<d::call_plan>(d::body_entry<body>.id(), d::result_order::of_input, d::next_call_seed());
};

}  // namespace

TEST_CASE("a worker in this process runs the chunks that it expects, and the thread goes on where it was") {
  given to([](const int& model, int x) { return model + x; });
  const d::call_seed seed(std::make_shared<const lenskit::seed_sequence>(1), {});
  const d::task_seed_scope around(seed, 5);
  const auto one = to.work(8, {1, 2, 3});
  const auto other = to.work(9, {4});
  const auto first = to.worker.expect(one);
  const auto second = to.worker.expect(other);
  to.worker.run(one, first);
  CHECK(to.said() == "4/8: 101 102 103");
  to.worker.run(other, second);
  CHECK(to.said() == "4/9: 104");
  CHECK(d::this_task.call == &seed);
  CHECK(d::this_task.index == 5);
}

TEST_CASE("a worker in this process has room again when it has left a chunk behind") {
  given to([](const int&, int x) { return x; });
  const auto room = to.worker.room();
  CHECK(room == d::journal_block::most_claims);
  const auto work = to.work(8, {1});
  const auto number = to.worker.expect(work);
  CHECK(to.worker.room() == room - 1);
  to.worker.run(work, number);
  CHECK(to.worker.room() == room);
}

TEST_CASE("K3: of a chunk that runs in this process, what has not begun can be taken back by its own task") {
  std::uint32_t number = 0;
  std::uint32_t mine = 0;
  given* where = nullptr;
  given to([&](const int&, int x) {
    if (x == 1) mine = where->worker.take_back(number, 4, 1);
    return x;
  });
  where = &to;
  const auto work = to.work(8, {0, 1, 2, 3});
  number = to.worker.expect(work);
  to.worker.run(work, number);
  CHECK(mine == 3);
  CHECK(to.said() == "4/8: 0 1 2");
}

TEST_CASE("what a task in this process keeps back of its chunk can be had meanwhile") {
  given* where = nullptr;
  std::string kept;
  given to([&](const int&, int x) {
    if (x == 2)
      for (const auto& each : where->worker.unsent()) kept += given::said(each);
    return x;
  });
  where = &to;
  const auto work = to.work(8, {0, 1, 2, 3});
  const auto number = to.worker.expect(work);
  CHECK(to.worker.unsent().empty());
  to.worker.run(work, number);
  CHECK(kept == "4/8: 0 1");
  CHECK(to.said() == "4/8: 0 1 2 3");
  CHECK(to.worker.unsent().empty());
}
