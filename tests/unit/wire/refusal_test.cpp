#include <lenskit/detail/wire/codec.hpp>
#include <lenskit/detail/wire/refusal.hpp>

#include <support/catch.hpp>

#include <exception>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace {

using lenskit::detail::refusal;
using lenskit::detail::refusal_of;

struct constant {
  const int id = 0;
  const std::string name;
  bool operator==(const constant&) const = default;
};

}  // namespace

TEST_CASE("V2: why a type cannot travel is told apart", "[wire]") {
  struct has_base : constant {
    int more;
  };
  union either {
    int number;
    std::string text;
    ~either() {}
  };
  STATIC_REQUIRE(refusal_of<std::unique_ptr<int[]>> == refusal::unsized);
  STATIC_REQUIRE(refusal_of<std::vector<has_base>> == refusal::aggregate);
  STATIC_REQUIRE(refusal_of<std::map<int, either>> == refusal::aggregate);
  STATIC_REQUIRE(refusal_of<std::unique_ptr<std::mutex>> == refusal::immovable);
  STATIC_REQUIRE(refusal_of<std::optional<std::exception>> == refusal::polymorphic);
  STATIC_REQUIRE(refusal_of<std::function<void()>> == refusal::closed);
  STATIC_REQUIRE(refusal_of<std::pair<int, const char*>> == refusal::dangles);
}
