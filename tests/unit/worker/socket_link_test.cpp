#include <lenskit/detail/os/channel.hpp>
#include <lenskit/detail/wire/reader.hpp>
#include <lenskit/detail/worker/socket_link.hpp>
#include <lenskit/error.hpp>

#include <support/catch.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>

namespace {

namespace d = lenskit::detail;

// A link, and the parent's end of it, in one process.
class linked {
 public:
  linked() : linked(d::make_stream()) {}

  void say(std::uint64_t chunk, std::string arguments, std::uint32_t seed_bytes = 0) {
    d::tasks_head head;
    head.chunk = chunk;
    head.seed_bytes = seed_bytes;
    say_frame(d::message::tasks, {reinterpret_cast<const char*>(&head), sizeof head}, arguments);
  }
  void say_frame(d::message type, std::string_view first, std::string_view second = {}) {
    d::frame_header header;
    std::array<iovec, 3> parts{iovec{&header, sizeof header}, iovec{const_cast<char*>(first.data()), first.size()},
                               iovec{const_cast<char*>(second.data()), second.size()}};
    header = d::make_frame_header(static_cast<std::uint8_t>(type), sequence_++, std::span(parts).subspan(1));
    REQUIRE(d::send_all(parent.get(), parts));
  }
  std::string next() {
    const auto message = link->next();
    if (!message) return "closed";
    const auto bytes = message->arguments();
    return std::to_string(message->head.chunk) + " " +
           std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  }

  d::descriptor parent;
  std::unique_ptr<d::socket_link> link;

 private:
  explicit linked(d::descriptor_pair ends)
      : parent(std::move(ends.first)), link(std::make_unique<d::socket_link>(std::move(ends.second))) {}
  std::uint64_t sequence_ = 0;
};

}  // namespace

TEST_CASE("a link brings the chunks that were sent, in their order, and then its end") {
  linked to;
  to.say(1, "one");
  to.say(2, "two");
  to.say(3, "");
  CHECK(to.link->drained());  // nothing is known to be there
  CHECK(to.next() == "1 one");
  CHECK_FALSE(to.link->drained());
  CHECK(to.next() == "2 two");
  CHECK(to.next() == "3 ");
  to.parent.reset();
  CHECK(to.next() == "closed");
  CHECK(to.next() == "closed");
}

TEST_CASE("chunks that were sent before the link was closed are brought") {
  linked to;
  to.say(1, "one");
  to.parent.reset();
  CHECK(to.next() == "1 one");
  CHECK(to.next() == "closed");
}

TEST_CASE("D5: a link that brings what makes no sense throws") {
  linked to;
  SECTION("a head that is cut off") { to.say_frame(d::message::tasks, "too short"); }
  SECTION("a seed longer than the message") { to.say(1, "one", 1000); }
  SECTION("no frame at all") {
    std::string nonsense(100, 'x');
    iovec part{nonsense.data(), nonsense.size()};
    REQUIRE(d::send_all(to.parent.get(), {&part, 1}));
  }
  CHECK_THROWS_AS(to.link->next(), lenskit::serialization_error);
}

TEST_CASE("results go to the parent with their head and their descriptors") {
  linked to;
  const d::results_head head{.chunk = 7, .offset = 2, .count = 3, .elapsed_ns = 4, .reports = 5};
  const std::string_view runs = "some runs";
  std::array<d::descriptor, 1> attached{d::make_stream().first};
  CHECK(to.link->send(head, std::as_bytes(std::span(runs)), attached));
  CHECK(to.link->send(head, {}, {}));
  d::frame_reader incoming;
  REQUIRE(incoming.receive(to.parent.get(), d::blocking::dont_wait).state == d::transfer::end::more);
  const auto message = incoming.next();
  REQUIRE(message);
  CHECK(message->type == static_cast<std::uint8_t>(d::message::results));
  CHECK(message->attached.size() == 1);
  d::reader in(message->payload.bytes());
  const auto arrived = in.get<d::results_head>();
  CHECK(arrived.chunk == 7);
  CHECK(arrived.offset == 2);
  CHECK(arrived.count == 3);
  CHECK(arrived.elapsed_ns == 4);
  CHECK(arrived.reports == 5);
  CHECK(in.left() == runs.size());
}

TEST_CASE("a link whose other end is gone takes no results") {
  linked to;
  to.parent.reset();
  CHECK_FALSE(to.link->send({}, {}, {}));
}
