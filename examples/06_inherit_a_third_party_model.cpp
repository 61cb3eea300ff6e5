// A model that nobody can serialise: pointers everywhere, a mutex inside. With persist_method::inherit the workers see
// the parent's object itself, through the copy-on-write memory of a forked process.
#include <lenskit/parallel.hpp>

#include <cstdio>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

// Somebody else's classes, which we cannot change.
namespace third_party {

class genre {
 public:
  explicit genre(std::string name, const genre* parent = nullptr) : name_(std::move(name)), parent_(parent) {}
  virtual ~genre() = default;
  virtual std::string path() const { return parent_ ? parent_->path() + " > " + name_ : name_; }

 private:
  std::string name_;
  const genre* parent_;  // points into the same graph
};

class catalogue {
 public:
  void add(const std::string& name, const std::string& parent = {}) {
    genres_[name] = std::make_unique<genre>(name, parent.empty() ? nullptr : genres_.at(parent).get());
  }
  const genre& at(const std::string& name) const {
    const std::lock_guard lock(mutex_);
    return *genres_.at(name);
  }

 private:
  std::map<std::string, std::unique_ptr<genre>> genres_;
  mutable std::mutex mutex_;
};

}  // namespace third_party

int main() {
  third_party::catalogue films;
  films.add("fiction");
  films.add("crime", "fiction");
  films.add("film noir", "crime");

  auto path_of = [](const third_party::catalogue& all, const std::string& name) { return all.at(name).path(); };
  lenskit::invoker inv(films, path_of, {.n_jobs = 2, .persist_method = lenskit::persist_method::inherit});
  for (const auto& path : inv.map(std::vector<std::string>{"film noir", "fiction"})) std::printf("%s\n", path.c_str());

  // What a worker writes to its copy stays in the worker, and what the parent adds now is not seen by workers that
  // exist: they keep the memory as it was when the invoker was made.
  films.add("musical");
  try {
    for (const auto& path : inv.map(std::vector<std::string>{"musical"})) std::printf("%s\n", path.c_str());
  } catch (const std::out_of_range&) {
    std::printf("musical: added too late\n");
  }
}

// Output:
// fiction > crime > film noir
// fiction
// musical: added too late
