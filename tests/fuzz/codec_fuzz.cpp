// libFuzzer: any bytes decode to a value or a serialization_error, whatever the type (failure D5).
#include <lenskit/detail/wire/codec.hpp>
#include <lenskit/error.hpp>

#include <boost/serialization/base_object.hpp>
#include <boost/serialization/export.hpp>

#include <array>
#include <cstdint>
#include <cstdlib>
#include <deque>
#include <filesystem>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <tuple>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

namespace codec_fuzz {

struct base {
  int number = 0;
  virtual ~base() = default;
  template <class Archive>
  void serialize(Archive& ar, unsigned) {
    ar& number;
  }
};
struct leaf : base {
  std::string text;
  std::optional<double> maybe;
  template <class Archive>
  void serialize(Archive& ar, unsigned) {
    ar& boost::serialization::base_object<base>(*this) & text& maybe;
  }
};
struct branch : base {
  std::vector<std::unique_ptr<base>> twigs;
  template <class Archive>
  void serialize(Archive& ar, unsigned) {
    ar& boost::serialization::base_object<base>(*this) & twigs;
  }
};

struct record {
  std::string name;
  std::vector<bool> bits;
  std::map<std::string, std::variant<int, std::string, std::vector<float>>> entries;
  std::array<std::optional<std::string>, 2> notes;
  std::vector<record> nested;
};

struct message {
  std::vector<std::shared_ptr<base>> shared;
  std::unique_ptr<branch> tree;
  std::vector<std::shared_ptr<const std::string>> texts;
  std::set<std::string> words;
};

using candidates =
    std::tuple<int, bool, std::string, std::vector<std::pair<int, float>>, std::vector<std::string>, record,
               std::list<std::deque<std::wstring>>, std::unordered_map<int, std::unique_ptr<record>>,
               std::filesystem::path, message, std::unique_ptr<base>, std::vector<leaf>>;

template <class T>
void try_decode(std::span<const std::byte> bytes) {
  lenskit::detail::reader in(bytes);
  try {
    const T value = lenskit::detail::decode<T>(in);
    // What was accepted can be sent again.
    lenskit::detail::writer out;
    lenskit::detail::encode(out, value);
  } catch (const lenskit::serialization_error&) {}
}

template <std::size_t... I>
void try_one(std::size_t which, std::span<const std::byte> bytes, std::index_sequence<I...>) {
  ((which == I ? try_decode<std::tuple_element_t<I, candidates>>(bytes) : void()), ...);
}

}  // namespace codec_fuzz

BOOST_CLASS_EXPORT(codec_fuzz::leaf)
BOOST_CLASS_EXPORT(codec_fuzz::branch)

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using codec_fuzz::candidates;
  constexpr auto count = std::tuple_size_v<candidates>;
  if (size == 0) return 0;
  const auto bytes = std::as_bytes(std::span(data, size)).subspan(1);
  codec_fuzz::try_one(data[0] % count, bytes, std::make_index_sequence<count>{});
  return 0;
}
