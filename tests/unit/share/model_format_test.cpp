#include <lenskit/detail/share/model_format.hpp>
#include <lenskit/detail/share/model_parts.hpp>
#include <lenskit/detail/share/model_writer.hpp>
#include <lenskit/detail/wire/crc32c.hpp>
#include <lenskit/error.hpp>

#include <support/catch.hpp>
#include <support/message_of.hpp>

#include <cstdint>
#include <cstring>
#include <memory>
#include <new>
#include <numeric>
#include <span>
#include <string>
#include <vector>

namespace d = lenskit::detail;
using lenskit::persist_error;
using lenskit::tests::mentions;
using lenskit::tests::message_of;

namespace {

// A stored model in plain memory, aligned as a mapping is.
class image {
 public:
  explicit image(d::model_parts& parts, bool check_all = true) {
    parts.lay_out(d::model_type_of<int>(), check_all);
    size_ = parts.header().total_bytes;
    bytes_.reset(static_cast<std::byte*>(::operator new (size_, std::align_val_t{64})));
    std::memset(bytes_.get(), 0, size_);
    d::write_model(parts, [&](std::uint64_t offset, std::span<const std::byte> run) {
      std::memcpy(bytes_.get() + offset, run.data(), run.size());
    });
  }
  std::span<std::byte> bytes() { return {bytes_.get(), size_}; }
  d::model_header& header() { return *reinterpret_cast<d::model_header*>(bytes_.get()); }
  d::verified_model verify(d::model_origin origin = d::model_origin::file) {
    return d::verify_model(bytes(), d::model_type_of<int>(), origin);
  }

 private:
  struct release {
    void operator()(std::byte* bytes) const { ::operator delete (bytes, std::align_val_t{64}); }
  };
  std::size_t size_;
  std::unique_ptr<std::byte, release> bytes_;
};

void fill(d::model_parts& parts, const std::string& stream, const std::vector<std::vector<char>>& arrays) {
  parts.stream().put(stream.data(), stream.size());
  for (const auto& array : arrays) (void)parts.put(array.data(), array.size(), 64);
}

std::string text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace

TEST_CASE("a stored model gives back its stream and its arrays, aligned") {
  std::vector<std::vector<char>> arrays{{'a'}, std::vector<char>(100, 'b'), std::vector<char>(9'000'000, 'c')};
  std::iota(arrays[2].begin(), arrays[2].end(), '\0');
  d::model_parts parts;
  fill(parts, "stream", arrays);
  image stored(parts, GENERATE(true, false));
  const auto model = stored.verify(d::model_origin::sealed_memory);
  CHECK(text_of(model.stream) == "stream");
  REQUIRE(model.arrays.size() == 3);
  for (std::size_t i = 0; i < arrays.size(); ++i) {
    CHECK(model.arrays[i].offset % 64 == 0);
    REQUIRE(model.arrays[i].bytes == arrays[i].size());
    CHECK(std::memcmp(stored.bytes().data() + model.arrays[i].offset, arrays[i].data(), arrays[i].size()) == 0);
  }
}

TEST_CASE("many small arrays are stored, each at its place") {
  std::vector<std::vector<char>> arrays;
  for (int i = 0; i < 20'000; ++i) arrays.emplace_back(static_cast<std::size_t>(i % 90 + 1), static_cast<char>(i));
  d::model_parts parts;
  fill(parts, "", arrays);
  image stored(parts);
  const auto model = stored.verify();
  bool same = model.arrays.size() == arrays.size();
  for (std::size_t i = 0; same && i < arrays.size(); ++i)
    same = std::memcmp(stored.bytes().data() + model.arrays[i].offset, arrays[i].data(), arrays[i].size()) == 0;
  CHECK(same);
}

TEST_CASE("an array that is put twice is stored once") {
  const std::vector<char> array(1000, 'x');
  d::model_parts parts;
  CHECK(parts.put(array.data(), array.size(), 64) == parts.put(array.data(), array.size(), 64));
  CHECK(parts.put(array.data(), 10, 64) == 1);
}

TEST_CASE("every single bit of a file counts") {
  d::model_parts parts;
  const std::vector<std::vector<char>> arrays{{'x', 'y'}, std::vector<char>(70, 'z')};
  fill(parts, "a stream", arrays);
  image stored(parts);
  std::size_t undetected = 0;
  for (auto& byte : stored.bytes()) {
    for (int bit = 0; bit < 8; ++bit) {
      byte ^= std::byte{1} << bit;
      try {
        (void)stored.verify();
        ++undetected;
      } catch (const persist_error&) {}
      byte ^= std::byte{1} << bit;
    }
  }
  CHECK(undetected == 0);
  CHECK_NOTHROW(stored.verify());
}

TEST_CASE("a file that was cut off or has grown is refused") {
  d::model_parts parts;
  const std::vector<std::vector<char>> arrays{{'x', 'y'}};
  fill(parts, "a stream", arrays);
  image stored(parts);
  for (std::size_t size = 0; size < stored.bytes().size(); ++size)
    CHECK_THROWS_AS(d::verify_model(stored.bytes().first(size), d::model_type_of<int>(), d::model_origin::file),
                    persist_error);
  std::vector<std::uint64_t> longer(stored.bytes().size() / 8 + 2);
  std::memcpy(longer.data(), stored.bytes().data(), stored.bytes().size());
  CHECK_THROWS_AS(d::verify_model(std::as_bytes(std::span(longer)), d::model_type_of<int>(), d::model_origin::file),
                  persist_error);
}

TEST_CASE("S10: a model from another build says what differs") {
  d::model_parts parts;
  fill(parts, "a stream", {});
  image stored(parts);
  const auto refused = [&](auto change) {
    auto& header = stored.header();
    const auto before = header;
    change(header);
    d::close_header(header);
    const auto why = message_of<persist_error>([&] { (void)stored.verify(); });
    header = before;
    return why;
  };
  CHECK(mentions(refused([](auto& h) { h.identity.magic[0] = 'X'; }), {"does not begin like a model"}));
  CHECK(mentions(refused([](auto& h) { ++h.identity.format; }), {"format version"}));
  CHECK(mentions(refused([](auto& h) { h.identity.byte_order = 0x04030201; }), {"byte order"}));
  CHECK(mentions(refused([](auto& h) { ++h.identity.library; }), {"library version"}));
  CHECK(mentions(refused([](auto& h) { ++h.identity.abi; }), {"sizes and alignments"}));
  CHECK(mentions(refused([](auto& h) { ++h.identity.type_name; }), {"another type than int"}));
  CHECK(mentions(refused([](auto& h) { ++h.identity.type_size; }), {"another type than int"}));
  CHECK(mentions(refused([](auto& h) { ++h.total_bytes; }), {"size"}));
  CHECK(mentions(refused([](auto& h) { h.stream_bytes = ~0ULL; }), {"layout"}));
  CHECK(mentions(refused([](auto& h) { h.array_count = ~0ULL / 16; }), {"layout"}));
  CHECK(mentions(refused([](auto& h) { h.checked_end = ~0ULL; }), {"layout"}));
  CHECK(mentions(refused([](auto& h) { h.checks_offset = 3; }), {"layout"}));
  CHECK(mentions(refused([](auto& h) { ++h.checks_check; }), {"checksum of checksums"}));
}

TEST_CASE("an array that lies outside of the model is refused even if all checksums are right") {
  const std::vector<char> array(10, 'x');
  d::model_parts parts;
  (void)parts.put(array.data(), array.size(), 64);
  image stored(parts);
  auto& header = stored.header();
  auto* const place = reinterpret_cast<d::array_place*>(stored.bytes().data() + header.table_offset);
  place->bytes = std::uint64_t{1} << 40;
  const auto block = d::block_place(header, 0);
  const auto check = d::crc32c(stored.bytes().data() + block.offset, block.bytes);
  std::memcpy(stored.bytes().data() + header.checks_offset, &check, sizeof check);
  header.checks_check = d::crc32c(&check, sizeof check);
  d::close_header(header);
  CHECK(mentions(message_of<persist_error>([&] { (void)stored.verify(); }), {"outside"}));
}
