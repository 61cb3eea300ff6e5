#include <lenskit/detail/share/huge_pages.hpp>
#include <lenskit/detail/share/mapping.hpp>
#include <lenskit/detail/share/model_writer.hpp>
#include <lenskit/detail/share/segment.hpp>
#include <lenskit/detail/share/stored_model.hpp>
#include <lenskit/error.hpp>

#include <support/catch.hpp>
#include <support/message_of.hpp>
#include <support/syscall_faults.hpp>

#include <sys/mman.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstring>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace d = lenskit::detail;
using lenskit::no_space;
using lenskit::persist_error;
using lenskit::tests::fault_at;
using lenskit::tests::mentions;
using lenskit::tests::message_of;

namespace {

const d::model_type type = d::model_type_of<int>();

d::descriptor plain_memory(std::size_t bytes) {
  d::descriptor made(::memfd_create("lenskit-test", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  REQUIRE(::ftruncate(made.get(), static_cast<off_t>(bytes)) == 0);
  return made;
}

std::vector<char> pattern(std::size_t bytes) {
  std::vector<char> values(bytes);
  for (std::size_t i = 0; i < bytes; ++i) values[i] = static_cast<char>(i % 251);
  return values;
}

}  // namespace

TEST_CASE("a memory segment is private, sealed and holds the model") {
  const auto array = pattern(10'000'000);
  d::model_parts parts;
  (void)parts.put(array.data(), array.size(), 64);
  parts.lay_out(type, false);
  const auto segment = d::make_memory_segment(parts);
  CHECK_NOTHROW(d::verify_seals(segment.get()));
  struct stat status {};
  REQUIRE(::fstat(segment.get(), &status) == 0);
  CHECK((status.st_mode & 07777U) == 0600);
  const d::mapping mapped(segment.get(), d::size_of(segment.get()));
  const auto model = d::verify_model(mapped.bytes(), type, d::model_origin::sealed_memory);
  REQUIRE(model.arrays.size() == 1);
  CHECK(std::memcmp(mapped.bytes().data() + model.arrays[0].offset, array.data(), array.size()) == 0);
}

TEST_CASE("a segment is filled through a mapping as it is by writing") {
  const auto array = pattern(9'000'000);
  d::model_parts parts;
  (void)parts.put(array.data(), array.size(), 64);
  parts.lay_out(type, true);
  const auto bytes = parts.header().total_bytes;
  const auto kind = GENERATE(d::huge_page_kind::transparent, d::huge_page_kind::reserved);
  const auto memory = plain_memory(bytes);
  {
    const d::writable_mapping target(memory.get(), bytes, kind);
    REQUIRE(target);
    d::write_model(parts, [&](std::uint64_t offset, std::span<const std::byte> run) { target.put(offset, run); });
  }
  const d::mapping mapped(memory.get(), bytes);
  CHECK_NOTHROW(d::verify_model(mapped.bytes(), type, d::model_origin::file));
}

TEST_CASE("huge pages that cannot be had are an exception and not SIGBUS") {
  const auto memory = plain_memory(1 << 20);
  const d::writable_mapping target(memory.get(), 4 << 20, d::huge_page_kind::transparent);
  REQUIRE(target);
  const auto bytes = pattern(4096);
  CHECK_NOTHROW(target.put(0, std::as_bytes(std::span(bytes))));
  CHECK_THROWS_AS(target.put(2 << 20, std::as_bytes(std::span(bytes))), d::no_huge_pages);
}

TEST_CASE("small models are not worth a huge page") {
  CHECK(d::find_huge_pages(100).kind == d::huge_page_kind::none);
  CHECK(d::find_huge_pages(1 << 20).kind == d::huge_page_kind::none);
}

TEST_CASE("a mapping that the system refuses is a persist_error with its reason") {
  const auto memory = plain_memory(4096);
  const auto refuse = [&] {
    const fault_at fault(1, [] { return ENOMEM; });
    const d::mapping mapped(memory.get(), 4096);
  };
  CHECK(mentions(message_of<persist_error>(refuse), {"cannot map", "4096", "Cannot allocate memory"}));
  CHECK(mentions(message_of<persist_error>([] { const d::mapping mapped(-1, 4096); }), {"Bad file descriptor"}));
}

TEST_CASE("running out of room is told apart from other trouble") {
  const auto memory = plain_memory(4096);
  const auto fail = [&](int error) { d::fail_room("write", memory.get(), 77, "the attic", error); };
  CHECK_THROWS_AS(fail(ENOSPC), no_space);
  CHECK_THROWS_AS(fail(EDQUOT), no_space);
  CHECK(mentions(message_of<no_space>([&] { fail(ENOSPC); }), {"77 bytes needed", "the attic"}));
  CHECK(mentions(message_of<persist_error>([&] { fail(EIO); }), {"cannot write", "the attic", "Input/output error"}));
}

TEST_CASE("memory that is not sealed is not trusted") {
  const auto memory = plain_memory(4096);
  CHECK(mentions(message_of<persist_error>([&] { d::verify_seals(memory.get()); }), {"not sealed"}));
}

TEST_CASE("a source gives only arrays that the model has, of the size that they have") {
  d::model_parts parts;
  const auto array = pattern(10);
  const auto token = parts.put(array.data(), array.size(), 64);
  const auto stored = d::stored_model::make(lenskit::persist_method::shm, parts, type);
  d::model_source source(stored.mapped(), stored.verify(type).arrays);
  CHECK_THROWS_AS(source.get(token + 1, 10), persist_error);
  CHECK_THROWS_AS(source.get(token, 11), persist_error);
  CHECK_FALSE(source.used());
  CHECK(std::memcmp(source.get(token, 10).data(), array.data(), 10) == 0);
  CHECK(source.used());
}

TEST_CASE("a model of one type is not loaded as another") {
  d::model_parts parts;
  const auto stored = d::stored_model::make(lenskit::persist_method::shm, parts, type);
  CHECK_THROWS_AS(stored.verify(d::model_type_of<unsigned>()), persist_error);
  CHECK_NOTHROW(stored.verify(type));
}
