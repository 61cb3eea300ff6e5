#include <lenskit/detail/os/loaded_file.hpp>
#include <lenskit/detail/wire/error_code.hpp>

#include <bit>
#include <future>
#include <ios>
#include <map>
#include <memory>
#include <mutex>
#include <utility>

namespace lenskit::detail {
namespace {

const std::error_category* find_standard(const std::string& name) {
  for (const auto* each :
       {&std::generic_category(), &std::system_category(), &std::iostream_category(), &std::future_category()})
    if (each->name() == name) return each;
  return nullptr;
}

const std::error_category* find_here(const plain_error_code& fields) {
  if (fields.file.empty() || fields.check != ~(fields.base ^ std::rotl(fields.offset, 32))) return nullptr;
  const auto file = find_loaded_file(fields.base + fields.offset);
  if (!file || file->path != fields.file || file->base != fields.base) return nullptr;
  return std::bit_cast<const std::error_category*>(fields.base + fields.offset);
}

// Stands for a category of a library that this process has not loaded.
class foreign_category : public std::error_category {
 public:
  explicit foreign_category(std::string name) : name_(std::move(name)) {}
  [[nodiscard]] const char* name() const noexcept override { return name_.c_str(); }
  [[nodiscard]] std::string message(int value) const override { return name_ + " error " + std::to_string(value); }

 private:
  std::string name_;
};

// One for each name and never destroyed, as error codes refer to them for ever.
const std::error_category& foreign(const std::string& name) {
  constexpr std::size_t max_names = 1024;  // bounds what a broken worker can make the parent keep
  static std::mutex gate;
  static auto* all = new std::map<std::string, std::unique_ptr<foreign_category>>;
  const std::scoped_lock lock(gate);
  const auto found = all->find(name);
  if (found != all->end()) return *found->second;
  if (all->size() >= max_names) return std::generic_category();
  return *all->emplace(name, std::make_unique<foreign_category>(name)).first->second;
}

}  // namespace

plain_error_code take_apart(const std::error_code& code) {
  plain_error_code fields{code.value(), code.category().name(), {}, 0, 0, 0};
  if (find_standard(fields.category) != nullptr) return fields;
  const auto address = std::bit_cast<std::uint64_t>(&code.category());
  if (auto file = find_loaded_file(address)) {
    fields.file = std::move(file->path);
    fields.base = file->base;
    fields.offset = address - file->base;
    fields.check = ~(fields.base ^ std::rotl(fields.offset, 32));
  }
  return fields;
}

std::error_code put_together(const plain_error_code& fields) {
  if (fields.category.empty()) return {fields.value, std::generic_category()};
  if (const auto* standard = find_standard(fields.category)) return {fields.value, *standard};
  if (const auto* here = find_here(fields)) return {fields.value, *here};
  return {fields.value, foreign(fields.category)};
}

}  // namespace lenskit::detail
