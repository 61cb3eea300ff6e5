#include <lenskit/detail/dispatch/chunk.hpp>

#include <support/catch.hpp>

#include <memory>
#include <string>
#include <vector>

namespace {

namespace d = lenskit::detail;
using queue = d::chunk_list<&d::chunk::queued>;

std::string numbers(const queue& in) {
  std::string all;
  for (const auto& each : in) all += std::to_string(each->first_index);
  return all;
}

std::shared_ptr<d::chunk> numbered(std::uint64_t number) {
  auto made = d::make_chunk();
  made->first_index = number;
  return made;
}

}  // namespace

TEST_CASE("a list of chunks keeps their order, whatever is put in and taken out") {
  std::vector<std::shared_ptr<d::chunk>> all;
  for (std::uint64_t i = 0; i < 5; ++i) all.push_back(numbered(i));
  queue in;
  CHECK(in.empty());
  in.push_back(all[1]);
  in.push_back(all[3]);
  in.push_front(all[0]);
  in.insert(all[1].get(), all[2]);
  in.insert(all[3].get(), all[4]);
  CHECK(numbers(in) == "01234");
  CHECK(in.size() == 5);
  CHECK(in.back() == all[4].get());
  const auto taken = GENERATE(0, 2, 4);
  CHECK(in.remove(*all[static_cast<std::size_t>(taken)]) == all[static_cast<std::size_t>(taken)]);
  CHECK_FALSE(in.contains(*all[static_cast<std::size_t>(taken)]));
  std::string expected = "01234";
  expected.erase(static_cast<std::size_t>(taken), 1);
  CHECK(numbers(in) == expected);
  in.push_back(all[static_cast<std::size_t>(taken)]);
  CHECK(numbers(in) == expected + std::to_string(taken));
  CHECK(in.pop_front()->first_index == static_cast<std::uint64_t>(expected[0] - '0'));
}

TEST_CASE("a list owns its chunks until it lets go of them, however long it is") {
  std::weak_ptr<d::chunk> first;
  {
    queue in;
    in.push_back(numbered(0));
    first = in.front();
    for (std::uint64_t i = 1; i < 200'000; ++i) in.push_back(numbered(i));  // no recursion takes them down
    CHECK_FALSE(first.expired());
  }
  CHECK(first.expired());
}

TEST_CASE("a chunk may be in several lists at once") {
  const auto one = numbered(1);
  queue waiting;
  d::chunk_list<&d::chunk::in_window> out;
  waiting.push_back(one);
  out.push_back(one);
  waiting.clear();
  CHECK(out.contains(*one));
  CHECK_FALSE(waiting.contains(*one));
}
