#include <lenskit/detail/wire/codec.hpp>
#include <lenskit/detail/wire/error_code.hpp>
#include <lenskit/detail/wire/exception.hpp>

#include <boost/core/demangle.hpp>

#include <cxxabi.h>

#include <any>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <future>
#include <ios>
#include <iterator>
#include <memory>
#include <new>
#include <optional>
#include <regex>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <type_traits>
#include <typeinfo>
#include <utility>
#include <variant>
#include <vector>

namespace lenskit::detail {
namespace {

constexpr unsigned max_nested = 32;  // an exception may be nested in itself
constexpr std::size_t short_text = 200;

// The fields of the library's own exceptions, each of which some type has.
struct own_fields {
  death_report death{};              // of a worker_died
  std::chrono::nanoseconds limit{};  // of a task_timeout
  std::uint64_t needed = 0;          // by a no_space
  std::uint64_t available = 0;
  std::string stack{};
  std::vector<std::string> lines{};  // causes of a broken_pool, the place of a no_space
};

// Everything about an exception that crosses. Encoded field by field.
struct description {
  std::uint8_t kind = 0;  // its place in `kinds`
  std::string type_name{};
  std::string message{};
  plain_error_code code{};   // of a system_error or future_error; the value for a regex_error
  std::string first_path{};  // of a filesystem_error
  std::string second_path{};
  own_fields own{};
};

// How an exception of one type is taken apart and put together again.
struct kind {
  bool (*is)(const std::exception&);
  std::exception_ptr (*rebuild)(const description&, task_failure, bool nested);
};

template <class Base, class... Args>
std::exception_ptr make(bool nested, task_failure failure, Args&&... args) {
  if (nested)
    return std::make_exception_ptr(nested_remote_exception<Base>(std::move(failure), std::forward<Args>(args)...));
  return std::make_exception_ptr(remote_exception<Base>(std::move(failure), std::forward<Args>(args)...));
}

// Of a type that is a task_error by itself: that of the task it is thrown for from now on.
template <class Base>
class nested_told : public Base, public std::nested_exception {
 public:
  using Base::Base;
};
template <class Base, class... Args>
std::exception_ptr make_told(bool nested, const task_failure& failure, Args&&... args) {
  if (nested) return std::make_exception_ptr(nested_told<Base>(as_told(), failure, std::forward<Args>(args)...));
  return std::make_exception_ptr(Base(as_told(), failure, std::forward<Args>(args)...));
}

template <class Base>
std::exception_ptr rebuild_own(const description& from, task_failure failure, bool nested) {
  if constexpr (std::is_same_v<Base, worker_died>) {
    return make_told<Base>(nested, failure, from.own.death);
  } else if constexpr (std::is_same_v<Base, task_timeout>) {
    return make_told<Base>(nested, failure, from.own.limit);
  } else if constexpr (std::is_same_v<Base, task_cancelled>) {
    return make_told<Base>(nested, failure);
  } else if constexpr (std::is_same_v<Base, no_space>) {
    return make<Base>(nested, std::move(failure), static_cast<std::size_t>(from.own.needed),
                      static_cast<std::size_t>(from.own.available),
                      from.own.lines.empty() ? std::string() : from.own.lines.front());
  } else {
    static_assert(std::is_same_v<Base, broken_pool>);
    return make<Base>(nested, std::move(failure), from.message, from.own.lines);
  }
}

template <class Base>
inline constexpr bool has_own_fields =
    std::is_base_of_v<task_error, Base> || std::is_same_v<Base, no_space> || std::is_same_v<Base, broken_pool>;

template <class Base>
std::exception_ptr rebuild(const description& from, task_failure failure, bool nested) {
  if constexpr (has_own_fields<Base>) {
    return rebuild_own<Base>(from, std::move(failure), nested);
  } else if constexpr (std::is_same_v<Base, std::filesystem::filesystem_error>) {
    return make<Base>(nested, std::move(failure), from.message, std::filesystem::path(from.first_path),
                      std::filesystem::path(from.second_path), put_together(from.code));
  } else if constexpr (std::is_same_v<Base, std::ios_base::failure>) {
    return make<Base>(nested, std::move(failure), from.message, put_together(from.code));
  } else if constexpr (std::is_same_v<Base, std::system_error>) {
    return make<Base>(nested, std::move(failure), put_together(from.code));
  } else if constexpr (std::is_same_v<Base, std::future_error>) {
    return make<Base>(nested, std::move(failure), static_cast<std::future_errc>(from.code.value));
  } else if constexpr (std::is_same_v<Base, std::regex_error>) {
    return make<Base>(nested, std::move(failure), static_cast<std::regex_constants::error_type>(from.code.value));
  } else if constexpr (std::is_constructible_v<Base, const std::string&>) {
    return make<Base>(nested, std::move(failure), from.message);
  } else {
    return make<Base>(nested, std::move(failure));
  }
}

template <class Base>
constexpr kind kind_of{[](const std::exception& e) { return dynamic_cast<const Base*>(&e) != nullptr; },
                       &rebuild<Base>};

// The first that fits counts, so a class stands before its bases. The last fits whatever is left.
constexpr kind kinds[] = {
    kind_of<worker_died>,
    kind_of<task_timeout>,
    kind_of<task_cancelled>,
    kind_of<serialization_error>,
    kind_of<no_space>,
    kind_of<persist_error>,
    kind_of<fork_refused>,
    kind_of<settings_error>,
    kind_of<broken_pool>,
    kind_of<invoker_closed>,
    kind_of<std::filesystem::filesystem_error>,
    kind_of<std::ios_base::failure>,
    kind_of<std::system_error>,
    kind_of<std::range_error>,
    kind_of<std::overflow_error>,
    kind_of<std::underflow_error>,
    kind_of<std::regex_error>,
    kind_of<std::invalid_argument>,
    kind_of<std::domain_error>,
    kind_of<std::length_error>,
    kind_of<std::out_of_range>,
    kind_of<std::future_error>,
    kind_of<std::logic_error>,
    kind_of<std::bad_array_new_length>,
    kind_of<std::bad_alloc>,
    kind_of<std::bad_any_cast>,
    kind_of<std::bad_cast>,
    kind_of<std::bad_typeid>,
    kind_of<std::bad_function_call>,
    kind_of<std::bad_optional_access>,
    kind_of<std::bad_variant_access>,
    kind_of<std::bad_weak_ptr>,
    kind_of<std::bad_exception>,
    kind_of<std::runtime_error>,
};
constexpr auto last_kind = static_cast<std::uint8_t>(std::size(kinds) - 1);

std::uint8_t find_kind(const std::exception& e) {
  std::uint8_t at = 0;
  while (at < last_kind && !kinds[at].is(e)) ++at;
  return at;
}

// Of the exception being handled. What std::throw_with_nested throws goes by the name of what it was given.
std::string current_type_name() {
  const auto* type = abi::__cxa_current_exception_type();
  if (type == nullptr) return "unknown";
  auto name = boost::core::demangle(type->name());
  constexpr std::string_view wrapper = "std::_Nested_exception<";
  if (name.starts_with(wrapper) && name.ends_with('>'))
    name = name.substr(wrapper.size(), name.size() - wrapper.size() - 1);
  return name;
}

void add_own(own_fields& to, const std::exception& e) {
  if (const auto* where = dynamic_cast<const task_error*>(&e)) to.stack = where->stack();
  if (const auto* death = dynamic_cast<const worker_died*>(&e)) {
    to.death = death->report();
  } else if (const auto* late = dynamic_cast<const task_timeout*>(&e)) {
    to.limit = late->limit();
  } else if (const auto* full = dynamic_cast<const no_space*>(&e)) {
    to.needed = full->needed();
    to.available = full->available();
    to.lines = {full->where()};
  } else if (const auto* broken = dynamic_cast<const broken_pool*>(&e)) {
    to.lines = broken->causes();
  }
}

void add_details(description& to, const std::exception& e) {
  add_own(to.own, e);
  to.kind = find_kind(e);
  if (const char* text = e.what()) to.message = text;
  if (const auto* where = dynamic_cast<const task_error*>(&e)) to.type_name = where->type_name();  // it has come far
  if (const auto* error = dynamic_cast<const std::system_error*>(&e)) to.code = take_apart(error->code());
  if (const auto* error = dynamic_cast<const std::future_error*>(&e)) to.code.value = error->code().value();
  if (const auto* error = dynamic_cast<const std::regex_error*>(&e)) to.code.value = static_cast<int>(error->code());
  if (const auto* error = dynamic_cast<const std::filesystem::filesystem_error*>(&e)) {
    to.first_path = error->path1().native();
    to.second_path = error->path2().native();
  }
}

description describe_thrown(const std::exception_ptr& thrown) {
  description about;
  about.kind = last_kind;
  try {
    std::rethrow_exception(thrown);
  } catch (const std::exception& e) {
    about.type_name = current_type_name();
    add_details(about, e);
  } catch (const std::string& text) {
    about.type_name = "std::string";
    about.message = text;
  } catch (const char* text) {
    about.type_name = "char const*";
    about.message = text != nullptr ? text : "";
  } catch (int number) {
    about.type_name = "int";
    about.message = std::to_string(number);
  } catch (...) {
    about.type_name = current_type_name();
    about.message = "an exception of type " + about.type_name;
  }
  return about;
}

std::exception_ptr nested_in(const std::exception_ptr& thrown) {
  try {
    std::rethrow_exception(thrown);
  } catch (const std::nested_exception& e) {
    return e.nested_ptr();
  } catch (...) {
    return nullptr;
  }
}

void encode_chain(writer& out, std::exception_ptr thrown) {
  for (unsigned depth = 0;; ++depth) {
    put_value(out, describe_thrown(thrown));
    thrown = depth < max_nested ? nested_in(thrown) : nullptr;
    put_value(out, thrown != nullptr);
    if (!thrown) return;
  }
}

// Without an allocation but for what the writer may need.
void encode_briefly(writer& out, const std::exception_ptr& thrown) {
  const auto put_short = [&](std::string_view text) {
    text = text.substr(0, short_text);
    put_count(out, text.size());
    out.put(text.data(), text.size());
  };
  std::uint8_t kind = last_kind;
  std::string_view type_name = "unknown";
  std::string_view message = "an exception that there was no memory to describe";
  try {
    std::rethrow_exception(thrown);
  } catch (const std::exception& e) {
    kind = find_kind(e);
    type_name = typeid(e).name();
    if (const char* text = e.what()) message = text;
    put_value(out, kind);
    put_short(type_name);
    put_short(message);
  } catch (...) {
    put_value(out, kind);
    put_short(type_name);
    put_short(message);
  }
  put_value(out, plain_error_code());
  put_short({});
  put_short({});
  put_value(out, own_fields());
  put_value(out, false);
}

std::exception_ptr rebuild_chain(reader& in, std::size_t index, pid_t worker, unsigned depth) {
  const auto about = get_value<description>(in);
  const bool has_nested = get_value<bool>(in);
  if (about.kind > last_kind || depth > max_nested) fail_decoding("an exception of an unknown kind");
  const auto inner = has_nested ? rebuild_chain(in, index, worker, depth + 1) : nullptr;
  const task_failure failure{index, worker, about.type_name, about.message, about.own.stack};
  const auto build = [&] {
    try {
      return kinds[about.kind].rebuild(about, failure, inner != nullptr);
    } catch (...) {
      return kinds[last_kind].rebuild(about, failure, inner != nullptr);
    }
  };
  if (!inner) return build();
  try {
    std::rethrow_exception(inner);
  } catch (...) {
    return build();  // std::nested_exception takes what is being handled
  }
}

}  // namespace

void encode_exception(writer& out, std::exception_ptr thrown) {
  const auto start = out.size();
  try {
    encode_chain(out, thrown);
  } catch (const std::bad_alloc&) {
    out.resize_down(start);
    encode_briefly(out, thrown);
  }
}

std::exception_ptr decode_exception(reader& in, std::size_t index, pid_t worker) {
  try {
    return rebuild_chain(in, index, worker, 0);
  } catch (const serialization_error& e) {
    return make<serialization_error>(false, task_failure{index, worker, "lenskit::serialization_error", e.what(), {}},
                                     e.what());
  } catch (const std::bad_alloc&) {  // it is not read to its end: what follows would be taken for another one (A1)
    throw;
  } catch (...) {
    return std::current_exception();
  }
}

}  // namespace lenskit::detail
