// Types that Boost.Serialization supports and the codec itself does not know go through the archive as they do through
// any archive of Boost's.
#include <lenskit/detail/wire/codec.hpp>

#include <boost/optional.hpp>
#include <boost/serialization/array_wrapper.hpp>
#include <boost/serialization/binary_object.hpp>
#include <boost/serialization/deque.hpp>
#include <boost/serialization/forward_list.hpp>
#include <boost/serialization/nvp.hpp>
#include <boost/serialization/optional.hpp>
#include <boost/serialization/shared_ptr.hpp>
#include <boost/serialization/stack.hpp>
#include <boost/serialization/valarray.hpp>
#include <boost/serialization/vector.hpp>
#include <boost/serialization/weak_ptr.hpp>
#include <boost/shared_ptr.hpp>

#include <support/catch.hpp>

#include <forward_list>
#include <memory>
#include <stack>
#include <string>
#include <valarray>
#include <vector>

#include "trip.hpp"

using lenskit::tests::trip;

namespace boost_types_test {

struct node {
  std::string name;
  std::vector<std::shared_ptr<node>> children;
  std::weak_ptr<node> parent;
  template <class Archive>
  void serialize(Archive& ar, unsigned) {
    ar& BOOST_SERIALIZATION_NVP(name) & BOOST_SERIALIZATION_NVP(children) & BOOST_SERIALIZATION_NVP(parent);
  }
};

struct raw_memory {
  static constexpr std::size_t size = 5;
  double numbers[size] = {};
  unsigned char blob[size] = {};
  template <class Archive>
  void serialize(Archive& ar, unsigned) {
    auto array = boost::serialization::make_array(static_cast<double*>(numbers), size);
    auto binary = boost::serialization::make_binary_object(static_cast<void*>(blob), sizeof blob);
    ar& array& binary;
  }
};

}  // namespace boost_types_test

using namespace boost_types_test;

TEST_CASE("containers that only Boost knows travel with Boost's header", "[wire]") {
  CHECK(trip(std::forward_list<std::string>{"a", "b"}) == std::forward_list<std::string>{"a", "b"});
  CHECK(trip(std::valarray<double>{1, 2, 3})[2] == 3);
  std::stack<int> stack;
  stack.push(1);
  stack.push(2);
  CHECK(trip(stack) == stack);
  CHECK(trip(boost::optional<int>(3)).value() == 3);
}

TEST_CASE("children find their parent again through weak pointers", "[wire]") {
  const auto root = std::make_shared<node>();
  root->name = "root";
  for (const char* name : {"first", "second"}) {
    root->children.push_back(std::make_shared<node>());
    root->children.back()->name = name;
    root->children.back()->parent = root;
  }
  const auto arrived = trip(root);
  CHECK(arrived->children.at(1)->name == "second");
  CHECK(arrived->children.at(1)->parent.lock() == arrived);
  CHECK(arrived.use_count() == 1);
}

TEST_CASE("boost::shared_ptr shares again on arrival", "[wire]") {
  const boost::shared_ptr<node> shared(new node());
  shared->name = "shared";
  const auto arrived = trip(std::vector<boost::shared_ptr<node>>{shared, shared});
  CHECK(arrived.at(0) == arrived.at(1));
  CHECK(arrived.at(0)->name == "shared");
}

TEST_CASE("array wrappers and binary objects are copied as their bytes", "[wire]") {
  raw_memory original;
  original.numbers[4] = 2.5;
  original.blob[0] = 7;
  const auto arrived = trip(original);
  CHECK(arrived.numbers[4] == 2.5);
  CHECK(arrived.blob[0] == 7);
}
