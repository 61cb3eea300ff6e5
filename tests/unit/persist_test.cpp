// Models as a user stores them.
#include <lenskit/error.hpp>
#include <lenskit/persist.hpp>

#include <support/catch.hpp>
#include <support/file_tree.hpp>
#include <support/in_child.hpp>
#include <support/message_of.hpp>
#include <support/variable.hpp>

#include <sys/stat.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <variant>
#include <vector>

using lenskit::persist;
using lenskit::persist_error;
using lenskit::persist_method;
using lenskit::persist_options;
using lenskit::shared_array;
using lenskit::tests::file_tree;
using lenskit::tests::holds_in_child;
using lenskit::tests::mentions;
using lenskit::tests::message_of;
using lenskit::tests::variable;

namespace {

namespace fs = std::filesystem;

struct als_model {
  shared_array<float> items;
  int n_items = 0, n_features = 0;
  template <class Archive>
  void serialize(Archive& ar, unsigned) {
    ar& items& n_items& n_features;
  }
};

als_model make_als() { return {shared_array<float>(std::vector<float>(1000, 0.25F)), 100, 10}; }

struct nested {
  std::string name;
  std::map<int, shared_array<double>> by_user;
  std::optional<shared_array<char>> letters;
  std::vector<shared_array<int>> rows;
};

struct with_cache {
  std::vector<int> data;
  std::vector<int> index;
  template <class Archive>
  void serialize(Archive& ar, unsigned) {
    ar& data;
    if (lenskit::in_share_context()) ar& index;
  }
};

struct has_temporary {  // stores an array that is gone when serialize() returns
  std::vector<float> values;
  template <class Archive>
  void serialize(Archive& ar, unsigned) {
    shared_array<float> packed(values);
    ar& packed;
    values.assign(packed.begin(), packed.end());
  }
};

struct counts_loads {
  static inline std::atomic<int> loads{0};
  int number = 0;
  template <class Archive>
  void serialize(Archive& ar, unsigned) {
    if (Archive::is_loading::value) ++loads;
    ar& number;
  }
};

struct fails_to_save {
  template <class Archive>
  void serialize(Archive&, unsigned) {
    throw std::runtime_error("the disk of the user is on fire");
  }
};

class third_party {  // nothing that could be stored
 public:
  explicit third_party(int number) : number_(std::make_unique<int>(number)) {}
  virtual ~third_party() = default;
  int number() const { return *number_; }

 private:
  std::mutex mutex_;
  std::unique_ptr<int> number_;
};

class movable_only {
 public:
  explicit movable_only(int number) : number_(std::make_unique<int>(number)) {}
  movable_only(movable_only&&) = default;
  virtual ~movable_only() = default;
  int number() const { return *number_; }

 private:
  std::unique_ptr<int> number_;
};

std::size_t files_in(const fs::path& directory) {
  return static_cast<std::size_t>(std::distance(fs::directory_iterator(directory), fs::directory_iterator()));
}

mode_t mode_of(const fs::path& path) {
  struct stat status {};
  REQUIRE(::stat(path.c_str(), &status) == 0);
  return status.st_mode & 07777U;
}

}  // namespace

TEST_CASE("a model is persisted in shared memory by default and comes back whole") {
  const auto model = make_als();
  auto stored = persist(model);
  CHECK(stored.method() == persist_method::shm);
  CHECK(stored.is_owner());
  CHECK(stored.path().empty());
  const als_model& back = stored.get();
  CHECK(back.items == model.items);
  CHECK(back.n_items == 100);
  CHECK(back.n_features == 10);
}

TEST_CASE("arrays of a persisted model lie in the mapping, aligned to 64 bytes") {
  const auto model = make_als();
  auto stored = persist(model);
  const auto* const data = stored.get().items.data();
  CHECK(data != model.items.data());
  CHECK(reinterpret_cast<std::uintptr_t>(data) % 64 == 0);
  std::ifstream maps("/proc/self/maps");
  bool inside = false;
  for (std::string line; std::getline(maps, line);) {
    std::uintptr_t begin = 0, end = 0;
    REQUIRE(std::sscanf(line.c_str(), "%lx-%lx", &begin, &end) == 2);
    const auto at = reinterpret_cast<std::uintptr_t>(data);
    if (at >= begin && at < end) inside = mentions(line, {"r--s", "lenskit-model"});
  }
  CHECK(inside);
}

TEST_CASE("a model is loaded once, whoever asks and from how many threads") {
  counts_loads::loads = 0;
  auto stored = persist(counts_loads{4});
  CHECK(counts_loads::loads == 0);
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < 4; ++i) threads.emplace_back([&] { (void)stored.get(); });
  }
  CHECK(&stored.get() == &stored.get());
  CHECK(stored.get().number == 4);
  CHECK(counts_loads::loads == 1);
}

TEST_CASE("anything that can be an argument can be a model") {
  CHECK(persist(42).get() == 42);
  CHECK(persist(std::string("factors")).get() == "factors");
  CHECK(persist(std::vector<int>{1, 2, 3}).get() == std::vector<int>{1, 2, 3});
  CHECK(persist(std::vector<bool>{true, false}).get() == std::vector<bool>{true, false});
  const std::map<std::string, std::variant<int, std::vector<float>>> map{{"a", 1}, {"b", std::vector<float>{0.5F}}};
  CHECK(persist(map).get() == map);
  CHECK(*persist(std::make_unique<int>(7)).get() == 7);
  CHECK(persist(shared_array<int>{1, 2}).get() == shared_array<int>{1, 2});
}

TEST_CASE("arrays go out of band wherever they are in a model") {
  const nested model{"model", {{3, {0.5, 1.5}}, {5, {}}}, shared_array<char>{'x', 'y'}, {{1}, {2, 3}}};
  auto stored = persist(model);
  const auto& back = stored.get();
  CHECK(back.name == "model");
  CHECK(back.by_user == model.by_user);
  CHECK(back.letters == model.letters);
  CHECK(back.rows == model.rows);
  CHECK(reinterpret_cast<std::uintptr_t>(back.rows[1].data()) % 64 == 0);
}

TEST_CASE("two members that share one array still share it when the model is loaded") {
  const shared_array<int> one{1, 2, 3};
  auto stored = persist(std::vector{one, one});
  CHECK(stored.get()[0].data() == stored.get()[1].data());
}

TEST_CASE("an array that only lives while the model is serialised is stored all the same") {
  has_temporary model{std::vector<float>(100'000, 1.5F)};
  CHECK(persist(model).get().values == model.values);
}

TEST_CASE("a model keeps its caches when it is shared") {
  auto stored = persist(with_cache{{1, 2}, {2, 1}});
  CHECK(stored.get().index == std::vector<int>{2, 1});
  CHECK_FALSE(lenskit::in_share_context());
}

TEST_CASE("a model is persisted to LK_TEMP_DIR if that is set") {
  const file_tree directory;
  const variable chosen("LK_TEMP_DIR", directory.root().string());
  {
    auto stored = persist(make_als());
    CHECK(stored.method() == persist_method::file);
    CHECK(stored.path().parent_path() == directory.root());
    CHECK(fs::exists(stored.path()));
    CHECK(mode_of(stored.path()) == 0600);
    CHECK(stored.get().items == make_als().items);
  }
  CHECK(files_in(directory.root()) == 0);
}

TEST_CASE("a model is persisted by the method that is asked for") {
  const auto method = GENERATE(persist_method::shm, persist_method::file, persist_method::inherit);
  const auto model = make_als();
  auto stored = persist(model, {.method = method});
  CHECK(stored.method() == method);
  CHECK(stored.path().empty() == (method != persist_method::file));
  CHECK(stored.get().items == model.items);
  CHECK(stored.is_owner());
}

TEST_CASE("a model is persisted into the directory that is asked for") {
  const file_tree directory;
  auto stored = persist(make_als(), {.dir = directory.root()});
  CHECK(stored.method() == persist_method::file);
  CHECK(stored.path().parent_path() == directory.root());
  const auto path = stored.path();
  stored.close();
  CHECK_FALSE(fs::exists(path));
  CHECK(stored.path() == path);
}

TEST_CASE("a file that the user named is complete, private, replaces what was there, and stays") {
  file_tree directory;
  const auto path = directory.write("als.model", "something old");
  {
    auto stored = persist(make_als(), {.file = path});
    CHECK(stored.path() == path);
    CHECK(stored.get().items == make_als().items);
    CHECK(mode_of(path) == 0600);
  }
  CHECK(fs::file_size(path) > 4000);
  CHECK(files_in(directory.root()) == 1);
}

TEST_CASE("an inherited model is the caller's own object, whatever its type") {
  third_party model(8);
  auto stored = persist(model);
  CHECK(stored.method() == persist_method::inherit);
  CHECK(&stored.get() == &model);
  const auto plain = make_als();
  auto inherited = persist(plain, {.method = persist_method::inherit});
  CHECK(&inherited.get() == &plain);
}

TEST_CASE("an inherited temporary lives in the handle") {
  auto stored = persist(movable_only(9));
  CHECK(stored.method() == persist_method::inherit);
  CHECK(stored.get().number() == 9);
}

TEST_CASE("a type that cannot be stored is refused by name of the remedy when storing is asked for") {
  third_party model(8);
  const auto method = GENERATE(persist_method::shm, persist_method::file);
  const auto why = message_of<persist_error>([&] { (void)persist(model, {.method = method}); });
  CHECK(mentions(why, {"cannot store", "serialize()", "inherit"}));
}

TEST_CASE("options that contradict one another are invalid") {
  CHECK_THROWS_AS(persist(1, {.method = persist_method::shm, .dir = "/tmp"}), std::invalid_argument);
  CHECK_THROWS_AS(persist(1, {.method = persist_method::inherit, .file = "x"}), std::invalid_argument);
  CHECK_THROWS_AS(persist(1, {.dir = "/tmp", .file = "x"}), std::invalid_argument);
}

TEST_CASE("what a model's serialize() throws is in the message of a persist_error") {
  const auto why = message_of<persist_error>([] { (void)persist(fails_to_save{}); });
  CHECK(mentions(why, {"cannot persist model", "on fire"}));
  CHECK_FALSE(lenskit::in_share_context());
}

TEST_CASE("a closed handle gives no model, and closing again does nothing") {
  auto stored = persist(make_als());
  stored.close();
  stored.close();
  CHECK_FALSE(stored.is_owner());
  CHECK(stored.method() == persist_method::shm);
  CHECK_THROWS_AS(stored.get(), persist_error);
  CHECK_THROWS_AS(stored.transfer(), persist_error);
}

TEST_CASE("a handle that was moved from behaves like a closed one") {
  auto first = persist(make_als());
  auto second = std::move(first);
  CHECK_FALSE(first.is_owner());  // NOLINT(bugprone-use-after-move)
  CHECK_THROWS_AS(first.get(), persist_error);
  CHECK(second.is_owner());
  second = persist(make_als());
  CHECK(second.get().n_items == 100);
}

TEST_CASE("arrays of a loaded model outlive its handle") {
  auto stored = std::make_optional(persist(make_als(), {.method = persist_method::file}));
  const auto items = stored->get().items;
  stored.reset();
  CHECK(items == make_als().items);
}

TEST_CASE("a pool can go on using a model whose handle is closed") {
  auto stored = persist(make_als());
  const auto model = lenskit::detail::share_model(stored);
  stored.close();
  CHECK(model->items == make_als().items);
}

TEST_CASE("a model without arrays leaves no bytes in shared memory once it is loaded") {
  auto stored = persist(std::vector<int>(100'000, 3));
  (void)stored.get();
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) CHECK(line.find("lenskit-model") == std::string::npos);
  CHECK(stored.get()[99'999] == 3);
}

TEST_CASE("a forked child reads the model and owns nothing") {
  auto stored = persist(make_als(), {.method = GENERATE(persist_method::shm, persist_method::file)});
  const bool held = holds_in_child([&] {
    if (stored.is_owner() || !(stored.get().items == make_als().items)) return false;
    stored.close();
    return true;
  });
  CHECK(held);
  CHECK(stored.is_owner());
  CHECK((stored.path().empty() || fs::exists(stored.path())));
  CHECK(stored.get().n_items == 100);
}

TEST_CASE("a persist method is parsed from the names that LensKit and this library give it") {
  CHECK(lenskit::parse_persist_method("shm") == persist_method::shm);
  CHECK(lenskit::parse_persist_method("binpickle") == persist_method::file);
  CHECK(lenskit::parse_persist_method("file") == persist_method::file);
  CHECK(lenskit::parse_persist_method("inherit") == persist_method::inherit);
  CHECK_THROWS_AS(lenskit::parse_persist_method("SHM"), std::invalid_argument);
  CHECK(mentions(message_of([] { (void)lenskit::parse_persist_method("pickle"); }), {"'pickle'"}));
  for (const auto method : {persist_method::shm, persist_method::file, persist_method::inherit})
    CHECK(lenskit::parse_persist_method(lenskit::to_string(method)) == method);
}

TEST_CASE("a persist method that does not exist is refused with the names of those that do") {
  const auto store = [] { (void)persist(make_als(), {.method = static_cast<persist_method>(77)}); };
  CHECK(message_of<std::invalid_argument>(store) ==
        "persist method is 77, expected automatic, shm, file, binpickle or inherit");
}
