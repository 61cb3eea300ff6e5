#include <lenskit/detail/engines/worker_slot.hpp>
#include <lenskit/detail/os/channel.hpp>

#include <support/catch.hpp>
#include <support/int_tasks.hpp>

#include <array>
#include <memory>
#include <utility>
#include <vector>

namespace d = lenskit::detail;

TEST_CASE("a place for a worker waits for one: what it is sent lies ready, and nothing is known of a life or an end") {
  d::journal journals(1);
  auto stream = d::make_stream();
  auto log = d::make_pipe();
  const auto reader = std::make_shared<d::report_reader>(std::move(log.first), 0);
  d::worker_slot slot(std::move(stream.first), reader, journals.of(0));
  CHECK_FALSE(slot.running);
  CHECK_FALSE(slot.unreachable);
  CHECK_FALSE(slot.handle);
  CHECK(slot.pid == -1);
  CHECK(slot.unmet == reader);
  CHECK(slot.reports == nullptr);
  CHECK_FALSE(slot.ending.is_placed());
  CHECK_FALSE(slot.end.awaits_burial());
  CHECK_FALSE(slot.end.seen_at.has_value());

  const int room = slot.link.room();
  slot.link.push(lenskit::tests::int_tasks(7, {1, 2}), false);
  CHECK(slot.link.room() == room - 1);
  CHECK(slot.link.flush().state == d::transfer::end::more);
  std::array<std::byte, 4096> arrived;
  std::vector<d::descriptor> attached;
  const auto got = d::receive_some(stream.second.get(), arrived, d::blocking::dont_wait, attached);
  CHECK(got.bytes == slot.link.bytes_moved());
  CHECK(got.bytes > 2 * sizeof(int));
}
