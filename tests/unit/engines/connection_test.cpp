#include <lenskit/detail/engines/connection.hpp>
#include <lenskit/detail/os/barrier.hpp>
#include <lenskit/detail/os/channel.hpp>
#include <lenskit/detail/wire/message.hpp>
#include <lenskit/detail/wire/reader.hpp>
#include <lenskit/random.hpp>

#include <support/catch.hpp>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace {

namespace d = lenskit::detail;

// Both ends of a connection, in one process.
class connected {
 public:
  connected() : connected(d::make_stream()) {}

  d::journal journals{1};
  d::journal_block& block = journals.of(0);
  d::connection near;
  d::descriptor far;

  void push(std::uint64_t chunk, std::uint32_t tasks, std::size_t bytes = 8) {
    auto arguments = std::make_shared<d::encoded_arguments>();
    d::writer into;
    std::memset(into.extend(bytes), static_cast<int>(chunk), bytes);
    arguments->block = into.release();
    d::assignment work;
    work.chunk = chunk;
    work.count = tasks;
    work.plan = plan_;
    work.argument_bytes = {arguments->block.data.get(), arguments->block.size};
    work.arguments = std::move(arguments);
    near.push(std::move(work), false);
  }
  /// What has arrived at the far end, up to one message.
  std::optional<d::tasks_head> hear() {
    std::ignore = incoming_.receive(far.get(), d::blocking::dont_wait);
    const auto message = incoming_.next();
    if (!message) return std::nullopt;
    last_type = message->type;
    last_bytes = message->payload.size();
    if (last_type != static_cast<std::uint8_t>(d::message::tasks)) return d::tasks_head{};
    return d::reader(message->payload.bytes()).get<d::tasks_head>();
  }
  std::uint8_t last_type = 0;
  std::size_t last_bytes = 0;

 private:
  explicit connected(d::descriptor_pair ends) : near(std::move(ends.first), block), far(std::move(ends.second)) {}

  d::frame_reader incoming_;
  std::shared_ptr<d::call_plan> plan_ =
      std::make_shared<d::call_plan>(5, d::result_order::of_input, d::next_call_seed());
};

}  // namespace

TEST_CASE("chunks arrive in their order, with their claims open") {
  connected to;
  to.push(11, 3);
  to.push(12, 4);
  CHECK(to.near.unflushed());
  CHECK_FALSE(to.hear());
  to.near.flush();
  CHECK_FALSE(to.near.unflushed());
  CHECK_FALSE(to.near.awaits_room());
  const auto first = to.hear();
  REQUIRE(first);
  CHECK(first->chunk == 11);
  CHECK(first->count == 3);
  CHECK(first->claim == 0);
  CHECK(first->body == 5);
  const auto second = to.hear();
  REQUIRE(second);
  CHECK(second->claim == 1);
  CHECK(to.block.claim_of(1).may_begin(3, true));
  CHECK_FALSE(to.block.claim_of(1).may_begin(4, true));
}

TEST_CASE("a message that does not fit into the stream goes on when there is room") {
  connected to;
  constexpr std::size_t large = std::size_t{4} << 20;
  to.push(1, 1, large);
  to.push(2, 1);
  to.near.flush();
  CHECK(to.near.awaits_room());
  CHECK(to.near.in_transfer());
  std::vector<std::uint64_t> heard;
  for (int turns = 0; heard.size() < 2 && turns < 10'000; ++turns) {
    if (const auto head = to.hear()) {
      heard.push_back(head->chunk);
      CHECK((heard.size() == 2 || to.last_bytes > large));
    }
    if (to.near.awaits_room()) to.near.flush();
  }
  CHECK(heard == std::vector<std::uint64_t>{1, 2});
  CHECK_FALSE(to.near.in_transfer());
  CHECK(to.near.bytes_moved() > large);
}

TEST_CASE("a worker has room for sixteen chunks, and for more as it leaves them behind") {
  connected to;
  for (std::uint64_t chunk = 1; to.near.room() > 0; ++chunk) {
    CHECK(to.near.room() == static_cast<int>(17 - chunk));
    to.push(chunk, 1);
  }
  CHECK_FALSE(to.near.clogged());
  to.block.passed.store(5);
  CHECK(to.near.room() == 5);
  to.block.passed.store(17);  // more than it was sent: its own affair
  CHECK(to.near.room() >= 0);
}

TEST_CASE("what is taken back makes room at once, until the worker has too much to leave behind") {
  connected to;
  std::uint64_t chunk = 0;
  for (; to.near.room() > 0 && chunk < 1000; ++chunk) {
    to.push(chunk + 1, 4);
    CHECK(to.near.take_back(chunk + 1, 0) == 0);
  }
  CHECK(chunk == d::journal_block::most_claims);
  CHECK(to.near.clogged());
  to.block.passed.store(1);
  CHECK_FALSE(to.near.clogged());
  CHECK(to.near.room() == 1);
}

TEST_CASE("of a chunk what has begun stays, and what is not known is nobody's to take") {
  connected to;
  to.push(1, 10);
  to.push(2, 10);
  auto& claimed = to.block.claim_of(0);
  for (std::uint32_t p = 0; p < 3; ++p) {
    claimed.finished.store(p);
    REQUIRE(claimed.may_begin(p, true));
  }
  const bool barriers = d::has_barriers() && d::pass_barriers();
  CHECK(to.near.take_back(1, 2) == (barriers ? 5U : 10U));
  CHECK(to.near.take_back(2, 3) == (barriers ? 3U : 10U));
  CHECK(to.near.take_back(3, 0) == d::claim::most_tasks);
}

TEST_CASE("levels go out between chunks, and what cannot be kept is told later") {
  connected to;
  const auto levels = std::make_shared<const std::string>("levels");
  to.near.push(levels);
  to.push(1, 1);
  to.near.flush();
  REQUIRE(to.hear());
  CHECK(to.last_type == static_cast<std::uint8_t>(d::message::levels));
  REQUIRE(to.hear());
  CHECK(to.last_type == static_cast<std::uint8_t>(d::message::tasks));
  for (int i = 0; i < 200; ++i) to.near.push(levels);
  to.near.flush();
  int heard = 0;
  while (to.hear()) ++heard;
  CHECK(heard == 80);
}

TEST_CASE("a worker that has gone takes what was meant for it along") {
  connected to;
  to.far = {};
  to.push(1, 1);
  CHECK(to.near.flush().state == d::transfer::end::closed);
  CHECK_FALSE(to.near.awaits_room());
  CHECK(to.near.hears());
  to.near.deafen();
  CHECK_FALSE(to.near.hears());
  CHECK(to.near.open());
  to.near.close();
  CHECK_FALSE(to.near.open());
}
