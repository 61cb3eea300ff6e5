// A tree of findings that can be shown as text and as JSON.
#pragma once

#include <concepts>
#include <cstdint>
#include <iosfwd>
#include <string>
#include <utility>
#include <vector>

namespace lenskit::doctor {

class value {
 public:
  using list = std::vector<value>;
  using table = std::vector<std::pair<std::string, value>>;  // in the order of insertion

  value() = default;  // nothing is known
  value(bool flag) : kind_(kind::flag), flag_(flag) {}
  template <std::integral Number>
  requires(!std::same_as<Number, bool>) value(Number number)
      : kind_(kind::whole), whole_(static_cast<std::int64_t>(number)) {}
  value(double number) : kind_(kind::number), number_(number) {}
  value(const char* text) : kind_(kind::text), text_(text) {}
  value(std::string text) : kind_(kind::text), text_(std::move(text)) {}
  value(list items) : kind_(kind::list), items_(std::move(items)) {}
  value(table entries);

  /// A number of bytes: exact in JSON, readable in text.
  static value bytes(std::uint64_t count);
  /// The same in JSON, one line in text.
  [[nodiscard]] value shown_as(std::string line) &&;

  void write_json(std::ostream& out, int indent = 0) const;
  void write_text(std::ostream& out, int indent = 0) const;

 private:
  enum class kind { unknown, flag, whole, number, text, list, table };

  [[nodiscard]] bool nested() const;
  void write_line(std::ostream& out) const;
  void write_nested_json(std::ostream& out, int indent) const;

  // A plain struct of all that it may be: a variant makes GCC 12 see uninitialised members.
  kind kind_ = kind::unknown;
  bool flag_ = false;
  std::int64_t whole_ = 0;
  double number_ = 0;
  std::string text_{};
  list items_{};                     // of a list, or the values of a table
  std::vector<std::string> keys_{};  // of a table
  std::string shown_{};              // instead of all this, in text
};

/// Something that is not as it should be, and what to do about it.
struct finding {
  std::string what;
  std::string remedy{};  ///< what to type or to ask for; empty if there is nothing
};

/// What the examination ends with.
struct findings {
  std::vector<finding> problems{};  ///< something does not work; the exit code is 1
  std::vector<finding> warnings{};  ///< something could be better
};

}  // namespace lenskit::doctor
