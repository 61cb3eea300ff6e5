#include <lenskit/detail/engines/control.hpp>

#include <support/catch.hpp>

#include <array>
#include <cstddef>

namespace {

namespace d = lenskit::detail;
using kind = d::control_message::kind;

}  // namespace

TEST_CASE("control messages arrive one by one, each with its own descriptors") {
  auto ends = d::make_packet_connection();
  const auto attached = d::make_stream();
  CHECK_FALSE(d::receive_control(ends.second.get(), d::blocking::dont_wait));
  CHECK(d::send_control(ends.first.get(), {.what = kind::started, .slot = 3, .pid = 77},
                        std::array{attached.first.get()}));
  CHECK(d::send_control(ends.first.get(),
                        {.what = kind::ended, .slot = 3, .status = {.signal = 9, .peak_memory = 4096}}));
  const auto started = d::receive_control(ends.second.get(), d::blocking::dont_wait);
  REQUIRE(started);
  CHECK_FALSE(started->closed);
  CHECK(started->message.what == kind::started);
  CHECK(started->message.slot == 3);
  CHECK(started->message.pid == 77);
  CHECK(started->attached.size() == 1);
  const auto ended = d::receive_control(ends.second.get(), d::blocking::wait);
  REQUIRE(ended);
  CHECK(ended->message.what == kind::ended);
  CHECK(ended->message.status.signal == 9);
  CHECK_FALSE(ended->message.status.exit_code);
  CHECK(ended->message.status.peak_memory == 4096);
  CHECK(ended->attached.empty());
}

TEST_CASE("a control connection says that its other side is gone, or makes no sense") {
  auto ends = d::make_packet_connection();
  SECTION("gone") { ends.first.reset(); }
  SECTION("no message") {
    std::byte one{};
    iovec part{&one, 1};
    CHECK(d::send_all(ends.first.get(), {&part, 1}));
  }
  const auto received = d::receive_control(ends.second.get(), d::blocking::dont_wait);
  REQUIRE(received);
  CHECK(received->closed);
  if (!ends.first) CHECK_FALSE(d::send_control(ends.second.get(), {}));
}
