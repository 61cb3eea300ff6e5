#include <lenskit/detail/dispatch/call.hpp>
#include <lenskit/detail/dispatch/window.hpp>
#include <lenskit/detail/wire/writer.hpp>
#include <lenskit/random.hpp>

#include <support/catch.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace {

namespace d = lenskit::detail;

// A chunk whose tasks have `bytes` each; 0: the nth has n, behind its length.
std::shared_ptr<d::chunk> chunk_of(std::uint64_t first, std::uint32_t count, std::size_t bytes = 8) {
  auto work = d::make_chunk();
  work->first_index = first;
  work->count = count;
  auto arguments = std::make_shared<d::encoded_arguments>();
  arguments->record_bytes = bytes;
  d::writer into;
  for (std::uint32_t i = 0; i < count; ++i) {
    if (bytes == 0) into.put(std::uint64_t{i});
    std::ignore = into.extend(bytes == 0 ? i : bytes);
  }
  arguments->block = into.release();
  work->argument_bytes = {arguments->block.data.get(), arguments->block.size};
  work->arguments = std::move(arguments);
  return work;
}

d::outcome_list part_of(std::uint32_t count, std::size_t bytes = 0) {
  d::outcome_list made(1);
  made.front().count = count;
  made.front().payload = d::byte_buffer(bytes);
  return made;
}

std::string indices(const d::outcome_list& taken) {
  std::string all;
  for (const auto& each : taken) all += std::to_string(each.first_index) + "+" + std::to_string(each.count) + " ";
  return all;
}

}  // namespace

TEST_CASE("in the order of the input only what is in front can be taken") {
  d::window out(d::result_order::of_input);
  const auto first = chunk_of(0, 3);
  const auto second = chunk_of(3, 2);
  out.add(first);
  out.add(second);
  CHECK(out.submitted() == 5);
  CHECK(out.held_bytes() == 40);
  out.settle(second, part_of(2, 10));
  CHECK(out.held_bytes() == 50);
  CHECK_FALSE(out.has_outcomes());
  out.settle(first, part_of(1));
  CHECK(out.has_outcomes());
  d::outcome_list taken;
  out.take(taken);
  CHECK(indices(taken) == "0+1 ");
  CHECK_FALSE(out.has_outcomes());
  out.settle(first, part_of(2));
  out.take(taken);
  CHECK(indices(taken) == "0+1 1+2 3+2 ");
  CHECK(out.empty());
  CHECK(out.held_bytes() == 0);
  CHECK(out.settled() == 5);
}

TEST_CASE("in the order of completion all can be taken as it comes") {
  d::window out(d::result_order::of_completion);
  const auto first = chunk_of(0, 3);
  const auto second = chunk_of(3, 2);
  out.add(first);
  out.add(second);
  out.settle(second, part_of(1));
  out.settle(first, part_of(1));
  out.settle(second, part_of(1));
  d::outcome_list taken;
  out.take(taken);
  CHECK(indices(taken) == "3+1 4+1 0+1 ");
  CHECK(out.size() == 1);
  out.settle(first, part_of(2));
  out.take(taken);
  CHECK(out.empty());
}

TEST_CASE("a chunk that is cut keeps its place, and every task its arguments") {
  const std::size_t bytes = GENERATE(std::size_t{0}, std::size_t{4});
  d::window out(d::result_order::of_input);
  const auto work = chunk_of(10, 5, bytes);
  const auto behind = chunk_of(15, 1, bytes);
  out.add(work);
  out.add(behind);
  const auto all = out.held_bytes();
  const auto last = work->argument_bytes.last(bytes == 0 ? 12 : 4);
  const auto rest = d::make_chunk();
  out.split(*work, 3, rest);
  CHECK(work->count == 3);
  CHECK(rest->first_index == 13);
  CHECK(rest->count == 2);
  CHECK(rest->argument_bytes.size() == (bytes == 0 ? 8 + 3 + 8 + 4U : 8U));
  CHECK(rest->argument_bytes.last(last.size()).data() == last.data());
  CHECK(out.held_bytes() == all);
  for (const auto& each : {behind, rest, work}) out.settle(each, part_of(each->count));
  d::outcome_list taken;
  out.take(taken);
  CHECK(indices(taken) == "10+3 13+2 15+1 ");
  CHECK(out.held_bytes() == 0);
}

TEST_CASE("what has no outcome fails once, and only that") {
  d::window out(d::result_order::of_input);
  const auto work = chunk_of(0, 3);
  out.add(work);
  out.settle(work, part_of(1));
  out.fail(work, nullptr);
  out.fail(work, std::make_exception_ptr(std::runtime_error("again")));
  d::outcome_list taken;
  out.take(taken);
  CHECK(indices(taken) == "0+1 1+2 ");
  CHECK(taken.back().cancelled);
  CHECK(out.empty());
}

TEST_CASE("what comes for a consumer that has gone is thrown away, but counted") {
  d::window out(GENERATE(d::result_order::of_input, d::result_order::of_completion));
  const auto work = chunk_of(0, 3);
  out.add(work);
  out.settle(work, part_of(1, 100));
  out.abandon();
  CHECK(out.empty());
  CHECK(out.held_bytes() == 0);
  out.settle(work, part_of(2, 100));
  CHECK(out.held_bytes() == 0);
  CHECK(work->done());
  CHECK_FALSE(out.has_outcomes());
}
