#include <lenskit/detail/dispatch/decode_result.hpp>
#include <lenskit/error.hpp>

#include <support/catch.hpp>
#include <support/listed_source.hpp>
#include <support/message_of.hpp>
#include <support/scripted_pool.hpp>

#include <cstdint>
#include <cstring>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace {

using lenskit::tests::listed_source;
using lenskit::tests::scripted_pool;
namespace d = lenskit::detail;

// A call of three tasks in one chunk, whose results are what `write` makes of them.
class told {
 public:
  told(std::size_t result_bytes, const std::function<void(d::writer&)>& write) : pool_({.workers = 1}) {
    const std::shared_ptr<d::dispatcher> core(std::shared_ptr<void>(), &pool_.core);
    stream_ = std::make_unique<d::task_stream>(core, std::make_unique<listed_source>(std::vector{0, 0, 0}),
                                               d::call_plan(1, d::result_order::of_input, d::next_call_seed()),
                                               d::stream_options{.result_bytes = result_bytes, .chunk_size = 3});
    pool_.engine.then([this, write] {
      d::writer runs;
      runs.put(d::run_head{3, d::run_kind::values});
      write(runs);
      d::byte_buffer bytes(runs.size());
      std::memcpy(bytes.data(), runs.data(), runs.size());
      auto& has = pool_.engine.of[0].has;
      pool_.engine.tell(0, {.chunk = has.front().work.chunk, .offset = 0, .count = 3}, std::move(bytes));
      has.pop_front();
    });
  }
  d::task_stream& operator*() { return *stream_; }
  d::task_stream* operator->() { return stream_.get(); }

 private:
  scripted_pool pool_;
  std::unique_ptr<d::task_stream> stream_;
};

void put_text(d::writer& out, const std::string& text, std::uint64_t more = 0) {
  d::writer value;
  d::encode(value, text);
  out.put(std::uint64_t{value.size()} + more);
  out.put(value.data(), value.size());
}

constexpr auto value = d::task_stream::step::value;
constexpr auto failure = d::task_stream::step::failure;

}  // namespace

TEST_CASE("results that are their bytes are read one behind the other") {
  told call(sizeof(double), [](d::writer& out) {
    for (const double each : {0.5, 1.5, 2.5}) out.put(each);
  });
  for (const double each : {0.5, 1.5, 2.5}) {
    REQUIRE(call->next() == value);
    CHECK(d::decode_result<double>(*call) == each);
  }
  CHECK(call->next() == d::task_stream::step::end);
}

TEST_CASE("a result that cannot be read costs no other") {
  told call(0, [](d::writer& out) {
    put_text(out, "one");
    out.put(std::uint64_t{3});
    out.put("\xff\xff\xff", 3);
    put_text(out, "three");
  });
  REQUIRE(call->next() == value);
  CHECK(d::decode_result<std::string>(*call) == "one");
  REQUIRE(call->next() == value);
  CHECK_THROWS_AS(d::decode_result<std::string>(*call), lenskit::serialization_error);
  REQUIRE(call->next() == value);
  CHECK(call->index() == 2);
  CHECK(d::decode_result<std::string>(*call) == "three");
}

TEST_CASE("a result whose length is wrong takes those behind it along, since nobody knows where they begin") {
  told call(0, [](d::writer& out) {
    put_text(out, "one");
    put_text(out, "two", 1'000'000);
    put_text(out, "three");
  });
  REQUIRE(call->next() == value);
  CHECK(d::decode_result<std::string>(*call) == "one");
  REQUIRE(call->next() == value);
  CHECK_THROWS_AS(d::decode_result<std::string>(*call), lenskit::serialization_error);
  REQUIRE(call->next() == failure);
  CHECK(call->index() == 2);
  CHECK_THROWS_AS(std::rethrow_exception(call->failure()), lenskit::serialization_error);
  CHECK(call->next() == d::task_stream::step::end);
}
