// libFuzzer: any bytes load as a model or are a persist_error (goal G14). Half of the inputs get right checksums, so
// that what lies behind them is reached.
#include <lenskit/detail/share/model_codec.hpp>
#include <lenskit/detail/wire/crc32c.hpp>
#include <lenskit/error.hpp>
#include <lenskit/shared_array.hpp>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace {

namespace d = lenskit::detail;

struct model {
  lenskit::shared_array<float> items;
  std::map<int, lenskit::shared_array<short>> by_user;
  std::optional<std::string> name;
  std::shared_ptr<int> shared;
};

// Bytes aligned as a mapping is, read in place of one.
class image final : public d::array_source {
 public:
  explicit image(std::size_t size) : words_(size / sizeof(word) + 1), size_(size) {}
  [[nodiscard]] std::span<std::byte> bytes() { return std::as_writable_bytes(std::span(words_)).first(size_); }
  std::span<const std::byte> get(std::uint64_t token, std::size_t bytes) override {
    if (token >= arrays.size() || arrays[token].bytes != bytes) throw lenskit::persist_error("no such array");
    return this->bytes().subspan(arrays[token].offset, bytes);
  }
  std::shared_ptr<const void> keeper() override { return {}; }
  std::span<const d::array_place> arrays;

 private:
  struct alignas(64) word {
    std::byte bytes[64];
  };
  std::vector<word> words_;
  std::size_t size_;
};

// Gives a header that could be right the type and the checksums that make it so.
void make_plausible(std::span<std::byte> bytes) {
  d::model_header header;
  if (bytes.size() < sizeof header) return;
  std::memcpy(&header, bytes.data(), sizeof header);
  auto expected = header;
  expected.identity = d::make_model_identity(d::model_type_of<model>());
  const auto size = bytes.size();
  if (expected.checked_end > size || expected.checks_offset > size || expected.checked_end < sizeof header) return;
  const auto count = d::block_count(expected);
  if (count > (size - expected.checks_offset) / sizeof(std::uint32_t)) return;
  for (std::size_t i = 0; i < count; ++i) {
    const auto place = d::block_place(expected, i);
    const auto check = d::crc32c(bytes.data() + place.offset, place.bytes);
    std::memcpy(bytes.data() + expected.checks_offset + i * sizeof check, &check, sizeof check);
  }
  expected.checks_check = d::crc32c(bytes.data() + expected.checks_offset, count * sizeof(std::uint32_t));
  d::close_header(expected);
  std::memcpy(bytes.data(), &expected, sizeof expected);
}

float sum_of(const model& loaded) {
  float sum = 0;
  for (const float each : loaded.items) sum += each;
  for (const auto& [user, items] : loaded.by_user)
    for (const short each : items) sum += static_cast<float>(each);
  return sum;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  image stored(size - 1);
  std::memcpy(stored.bytes().data(), data + 1, size - 1);
  if (data[0] % 2 != 0) make_plausible(stored.bytes());
  const auto origin = data[0] % 4 < 2 ? d::model_origin::file : d::model_origin::sealed_memory;
  try {
    const auto parts = d::verify_model(stored.bytes(), d::model_type_of<model>(), origin);
    stored.arrays = parts.arrays;
    const auto loaded = d::decode_model<model>(parts.stream, stored);
    volatile float sum = sum_of(*loaded);
    (void)sum;
  } catch (const lenskit::persist_error&) {}
  return 0;
}
