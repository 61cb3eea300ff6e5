#include <lenskit/detail/wire/exception.hpp>
#include <lenskit/detail/wire/message.hpp>
#include <lenskit/detail/wire/reader.hpp>
#include <lenskit/detail/worker/cut_results.hpp>
#include <lenskit/error.hpp>

#include <support/catch.hpp>
#include <support/message_of.hpp>

#include <cstring>
#include <exception>

namespace {

namespace d = lenskit::detail;
using lenskit::tests::mentions;
using lenskit::tests::message_of;

// What arrived of results of 100 bytes in all.
d::frame cut_off(std::uint32_t count) {
  const d::results_head head{.chunk = 7, .offset = 2, .count = count, .elapsed_ns = 4, .reports = 5};
  d::frame message;
  message.payload = d::byte_buffer(64);
  std::memcpy(message.payload.data(), &head, sizeof head);
  message.attached.push_back(d::make_stream().first);
  message.missing = 36;
  return message;
}

}  // namespace

TEST_CASE("A1: results for which there is no memory fail one by one, and keep their place") {
  const std::uint32_t count = GENERATE(1U, 3U);
  auto message = cut_off(count);
  d::fail_cut_results(message);
  CHECK(message.missing == 0);
  CHECK(message.attached.empty());
  d::reader in(message.payload.bytes());
  const auto head = in.get<d::results_head>();
  CHECK(head.chunk == 7);
  CHECK(head.offset == 2);
  CHECK(head.count == count);
  CHECK(head.reports == 5);
  for (std::uint32_t i = 0; i < count; ++i) {
    const auto run = in.get<d::run_head>();
    REQUIRE(run.kind == d::run_kind::failure);
    REQUIRE(run.count == 1);
    const auto why = d::decode_exception(in, i, 1);
    CHECK(mentions(message_of<lenskit::serialization_error>([&] { std::rethrow_exception(why); }),
                   {count == 1 ? "a result of 100 bytes" : "3 results of 100 bytes together", "no memory"}));
  }
  CHECK(in.left() == 0);
}
