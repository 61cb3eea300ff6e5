#include <lenskit/detail/worker/message_link.hpp>

#include <support/catch.hpp>

#include <cstddef>
#include <cstring>
#include <string_view>

namespace {

namespace d = lenskit::detail;

d::tasks_message made_of(std::string_view seed, std::string_view arguments) {
  d::tasks_message made;
  made.head.seed_bytes = static_cast<std::uint32_t>(seed.size());
  made.payload = d::byte_buffer(sizeof made.head + seed.size() + arguments.size());
  std::memcpy(made.payload.data(), &made.head, sizeof made.head);
  std::memcpy(made.payload.data() + sizeof made.head, seed.data(), seed.size());
  std::memcpy(made.payload.data() + sizeof made.head + seed.size(), arguments.data(), arguments.size());
  return made;
}

std::string_view text(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace

TEST_CASE("a message of tasks holds the seed behind its head, and the arguments behind that") {
  const auto message = made_of("seed", "arguments");
  CHECK(text(message.seed()) == "seed");
  CHECK(text(message.arguments()) == "arguments");
}

TEST_CASE("seed and arguments of a message may be empty") {
  CHECK(made_of("", "arguments").seed().empty());
  CHECK(text(made_of("", "arguments").arguments()) == "arguments");
  CHECK(made_of("seed", "").arguments().empty());
}
