#include <lenskit/detail/wire/exception.hpp>
#include <lenskit/detail/worker/recorder.hpp>
#include <lenskit/detail/worker/typed_tasks.hpp>
#include <lenskit/detail/worker/worker_loop.hpp>
#include <lenskit/random.hpp>

#include <support/catch.hpp>
#include <support/message_of.hpp>

#include <cstdint>
#include <cstring>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace {

namespace d = lenskit::detail;

struct no_model {};
constexpr auto twice = [](const no_model&, int x) { return 2 * x; };
using function = std::remove_const_t<decltype(twice)>;
using place_type = d::typed_workplace<no_model, function>;
constexpr d::task_body body = &d::run_tasks<no_model, function, int>;

// A parent that has sent some chunks and closed the link, and notes what it gets.
class scripted_link final : public d::message_link {
 public:
  void add(d::body_id which, std::uint64_t chunk, const std::vector<int>& numbers, d::journal_block& block) {
    const auto seed = d::call_seed(std::make_shared<const lenskit::seed_sequence>(chunk), {}).words();
    d::tasks_message made;
    made.head.chunk = chunk;
    made.head.count = static_cast<std::uint32_t>(numbers.size());
    made.head.claim = static_cast<std::uint32_t>(messages_.size());
    made.head.body = which;
    made.head.send_every_us = 60'000;
    made.head.seed_bytes = static_cast<std::uint32_t>(seed.size() * sizeof seed[0]);
    d::writer out;
    out.put(made.head);
    out.put(seed.data(), made.head.seed_bytes);
    out.put(numbers.data(), numbers.size() * sizeof(int));
    made.payload = d::byte_buffer(out.size());
    std::memcpy(made.payload.data(), out.data(), out.size());
    block.claim_of(made.head.claim).open(made.head.count);
    messages_.push_back(std::move(made));
  }

  [[nodiscard]] std::optional<d::tasks_message> next() override {
    if (messages_.empty()) return std::nullopt;
    auto message = std::move(messages_.front());
    messages_.pop_front();
    return message;
  }
  [[nodiscard]] bool drained() const noexcept override { return messages_.empty(); }
  [[nodiscard]] bool send(const d::results_head& head, std::span<const std::byte> runs,
                          std::span<const d::descriptor>) override {
    auto said = std::to_string(head.chunk) + " from " + std::to_string(head.offset) + ":";
    for (d::reader in(runs); in.left() > 0;) {
      const auto run = in.get<d::run_head>();
      for (std::uint32_t i = 0; i < run.count; ++i) {
        said += " " + (run.kind == d::run_kind::values ? std::to_string(in.get<int>()) : failure(in, i));
      }
    }
    heard.push_back(std::move(said));
    return true;
  }

  std::vector<std::string> heard;

 private:
  static std::string failure(d::reader& in, std::size_t index) {
    return lenskit::tests::message_of<std::exception>(
        [&] { std::rethrow_exception(d::decode_exception(in, index, 1)); });
  }
  std::deque<d::tasks_message> messages_;
};

}  // namespace

TEST_CASE("a worker runs chunk after chunk, says what came of each, and returns when its link is closed") {
  const auto block = std::make_unique<d::journal_block>();
  block->reset();
  place_type place(std::make_shared<const no_model>(), twice);
  scripted_link link;
  link.add(d::body_entry<body>.id(), 8, {1, 2, 3}, *block);
  link.add(d::body_entry<body>.id(), 9, {10}, *block);
  d::serve_tasks(link, place, *block, false);
  CHECK(link.heard == std::vector<std::string>{"8 from 0: 2 4 6", "9 from 0: 20"});
  CHECK(block->ready.load() == 1);
  CHECK(block->passed.load() == 2);
  CHECK(block->chunk.load() == 0);
  CHECK(block->held_up.load() == 0);
}

TEST_CASE("a worker leaves out what was taken back of a chunk") {
  const auto block = std::make_unique<d::journal_block>();
  block->reset();
  place_type place(std::make_shared<const no_model>(), twice);
  scripted_link link;
  link.add(d::body_entry<body>.id(), 8, {1, 2, 3}, *block);
  link.add(d::body_entry<body>.id(), 9, {4, 5}, *block);
  CHECK(block->claim_of(0).take_back(3, 1, [] { return true; }) == 1);
  CHECK(block->claim_of(1).take_back(2, 0, [] { return true; }) == 0);
  const bool fenced = GENERATE(false, true);
  d::serve_tasks(link, place, *block, fenced);
  CHECK(link.heard == std::vector<std::string>{"8 from 0: 2"});
  CHECK(block->passed.load() == 2);
}

TEST_CASE("the tasks of a body that a worker does not know fail, and the next chunk is run") {
  const auto block = std::make_unique<d::journal_block>();
  block->reset();
  place_type place(std::make_shared<const no_model>(), twice);
  scripted_link link;
  link.add(d::body_id{0}, 8, {1, 2}, *block);
  link.add(d::body_entry<body>.id(), 9, {10}, *block);
  d::serve_tasks(link, place, *block, false);
  const std::string unknown = " this worker was forked before the code of the task was loaded: make a new invoker";
  CHECK(link.heard == std::vector<std::string>{"8 from 0:" + unknown + unknown, "9 from 0: 20"});
}
