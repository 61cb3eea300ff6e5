#include <lenskit/detail/wire/writer.hpp>
#include <lenskit/error.hpp>

#include <support/catch.hpp>

#include <unistd.h>

#include <array>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

using lenskit::detail::descriptor;
using lenskit::detail::writer;

namespace {

std::string content(const writer& out) { return {reinterpret_cast<const char*>(out.data()), out.size()}; }

void put_text(writer& out, std::string_view text) { out.put(text.data(), text.size()); }

descriptor some_descriptor() { return descriptor(::dup(STDERR_FILENO)); }

}  // namespace

TEST_CASE("a writer keeps what was put into it, in order, however much it is", "[wire]") {
  writer out;
  std::string expected;
  for (int i = 0; i < 5000; ++i) {
    const auto piece = std::to_string(i) + std::string(static_cast<std::size_t>(i % 97), '.');
    put_text(out, piece);
    expected += piece;
  }
  CHECK(content(out) == expected);
  CHECK_FALSE(out.spilled());
}

TEST_CASE("nothing put into an empty writer leaves it empty", "[wire]") {
  writer out;
  out.put(nullptr, 0);
  CHECK(out.size() == 0);
  CHECK(out.release().size == 0);
}

TEST_CASE("a writer uses external storage up to its last byte and then moves to the heap", "[wire]") {
  std::array<std::byte, 8> storage{};
  writer out(storage.data(), storage.size());
  put_text(out, "12345678");
  CHECK(out.data() == storage.data());
  CHECK_FALSE(out.spilled());
  put_text(out, "9");
  CHECK(out.spilled());
  CHECK(out.data() != storage.data());
  CHECK(content(out) == "123456789");
}

TEST_CASE("a cleared writer goes back into its external storage", "[wire]") {
  std::array<std::byte, 8> storage{};
  writer out(storage.data(), storage.size());
  for (int round = 0; round < 3; ++round) {
    put_text(out, "more than eight bytes");
    REQUIRE(out.spilled());
    CHECK(content(out) == "more than eight bytes");
    out.clear();
    CHECK(out.size() == 0);
    CHECK_FALSE(out.spilled());
    put_text(out, "few");
    CHECK(std::memcmp(storage.data(), "few", 3) == 0);
    out.clear();
  }
}

TEST_CASE("a half-written value can be undone", "[wire]") {
  writer out;
  put_text(out, "kept");
  const auto mark = out.size();
  put_text(out, " and dropped");
  out.resize_down(mark);
  put_text(out, "!");
  CHECK(content(out) == "kept!");
}

TEST_CASE("released bytes outlive the writer's next use", "[wire]") {
  std::array<std::byte, 8> storage{};
  writer external(storage.data(), storage.size());
  writer heap;
  for (auto* out : {&external, &heap}) {
    put_text(*out, "first");
    const auto block = out->release();
    CHECK(out->size() == 0);
    put_text(*out, "second");
    REQUIRE(block.size == 5);
    CHECK(std::memcmp(block.data.get(), "first", 5) == 0);
    CHECK(content(*out) == "second");
  }
}

TEST_CASE("an emptied writer can give its memory back", "[wire]") {
  writer out;
  (void)out.extend(1 << 20);
  out.clear();
  CHECK(out.capacity() >= (1 << 20));
  out.trim(4096);
  CHECK(out.capacity() == 0);
  put_text(out, "works on");
  CHECK(content(out) == "works on");
}

TEST_CASE("a size that no memory can hold is bad_alloc and leaves the content alone", "[wire]") {
  writer out;
  put_text(out, "kept");
  CHECK_THROWS_AS(out.extend(SIZE_MAX - 2), std::bad_alloc);
  CHECK(content(out) == "kept");
}

TEST_CASE("a writer refuses descriptors unless its channel carries them", "[wire]") {
  writer out;
  CHECK_THROWS_AS(out.attach(some_descriptor()), lenskit::persist_error);
  out.carry_descriptors(true);
  out.attach(some_descriptor());
  CHECK(out.take_attachments().size() == 1);
  CHECK(out.take_attachments().empty());
}

TEST_CASE("undoing a value undoes its attachments and no others", "[wire]") {
  writer out;
  out.carry_descriptors(true);
  out.attach(some_descriptor());
  put_text(out, "first value");
  const auto mark = out.size();
  out.attach(some_descriptor());
  put_text(out, "second value");
  out.resize_down(mark);
  CHECK(out.take_attachments().size() == 1);
}
