#include <lenskit/detail/worker/place.hpp>
#include <lenskit/detail/worker/worker_loop.hpp>
#include <lenskit/error.hpp>
#include <lenskit/persist.hpp>

#include <support/catch.hpp>
#include <support/message_of.hpp>

#include <cmath>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace {

namespace d = lenskit::detail;

using model = std::vector<double>;

double scaled(const model& of, int n) { return of.at(0) * n; }

struct shifted {
  double by;
  double operator()(const model& of, int n) const { return of.at(0) * n + by; }
};

// One task, as a worker has it: with bytes that came from elsewhere, at a place made from bytes.
class one_task final : public d::result_sink {
 public:
  double run(d::workplace& place, d::code_id body, int argument) {
    auto block = std::make_unique<d::journal_block>();
    block->reset();
    block->claims[0].open(1);
    d::recorder recorder(*block, *this, {});
    const d::call_seed seed(std::make_shared<const lenskit::seed_sequence>(1), {});
    d::tasks_head head;
    head.chunk = 1;
    head.count = 1;
    recorder.begin(head, seed);
    d::run_chunk(place, body, std::as_bytes(std::span(&argument, 1)), recorder);
    return result_;
  }

 private:
  void deliver(d::results_head, std::span<const std::byte> runs, std::vector<d::descriptor>) override {
    d::reader in(runs);
    REQUIRE(in.get<d::run_head>("a run").kind == d::run_kind::values);
    result_ = d::decode<double>(in);
  }
  double result_ = 0;
};

template <class Fn>
double at_a_place_made_from_bytes(const Fn& fn, const model& of, int argument) {
  d::model_parts parts;
  d::encode_model(parts, of);
  const auto stored = d::stored_model::make(lenskit::persist_method::shm, parts, d::model_type_of<model>());
  d::writer sent;
  d::put_function(sent, fn);

  const auto make = d::find_place(d::place_entry<model, Fn>.id());
  REQUIRE(make != nullptr);
  d::reader function(std::span<const std::byte>(sent.data(), sent.size()));
  const auto place = make(stored.send(), function);
  constexpr d::task_body body = &d::run_tasks<model, Fn, int>;
  return one_task().run(*place, d::body_entry<body>.id(), argument);
}

}  // namespace

TEST_CASE("a workplace is made from a stored model and a function that holds nothing") {
  CHECK(at_a_place_made_from_bytes([](const model& of, int n) { return of.at(1) + n; }, {1, 20}, 3) == 23);
}

TEST_CASE("a workplace is made from a stored model and a pointer to a function of the program") {
  CHECK(at_a_place_made_from_bytes(&scaled, {2}, 21) == 42);
}

TEST_CASE("a workplace is made from a stored model and a function with contents") {
  CHECK(at_a_place_made_from_bytes(shifted{0.5}, {2}, 21) == 42.5);
}

TEST_CASE("a pointer to a function of a library is found in the same library") {
  double (*const root)(double) = &std::sqrt;
  d::writer sent;
  d::put_function(sent, root);
  d::reader in(std::span<const std::byte>(sent.data(), sent.size()));
  const auto found = d::get_function<double (*)(double)>(in);
  CHECK(found == root);
  CHECK(found(49) == 7);
}

TEST_CASE("a function pointer that leads nowhere is refused, by name") {
  static const std::string data = "not code";
  const auto nowhere = reinterpret_cast<void (*)()>(reinterpret_cast<std::uintptr_t>(data.data()));
  d::writer sent;
  CHECK_THROWS_AS(d::put_function(sent, nowhere), lenskit::serialization_error);
  d::encode(sent, std::string("/lib/none.so"));
  d::encode(sent, std::uint64_t{0x10});
  d::reader in(std::span<const std::byte>(sent.data(), sent.size()));
  CHECK(lenskit::tests::message_of<lenskit::serialization_error>([&] {
          static_cast<void>(d::get_function<void (*)()>(in));
        }).find("/lib/none.so has no code at 0x10") != std::string::npos);
}

TEST_CASE("code is found by its number and its kind") {
  constexpr d::task_body body = &d::run_tasks<int, int (*)(int, int), int>;
  const auto id = d::body_entry<body>.id();
  CHECK(d::find_body(id) == body);
  CHECK(d::find_place(id) == nullptr);
  CHECK(d::find_body(id + 1'000'000) == nullptr);
  CHECK(d::find_body(0) == nullptr);
}

TEST_CASE("what a function holds decides whether it can be sent") {
  int local = 1;
  const auto by_reference = [&local] { return local; };
  const auto by_value = [local] { return local; };
  CHECK_FALSE(d::travelling_function<std::remove_const_t<decltype(by_reference)>>);
  CHECK_FALSE(d::travelling_function<std::remove_const_t<decltype(by_value)>>);  // it cannot be told from the other
  CHECK(d::travelling_function<shifted>);
  CHECK(d::travelling_function<double (*)(const model&, int)>);
}
