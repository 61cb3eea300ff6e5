#include <lenskit/detail/log/bar_plan.hpp>

#include <cstdint>
#include <string_view>

namespace lenskit::detail {
namespace {

// In a report: this, and the label.
struct plan_fields {
  std::int64_t total;  // -1 if unknown
  std::uint64_t label_bytes;
};

constexpr std::size_t longest_bar_label = 256;

}  // namespace

void put_plan(std::string& body, const bar_plan& plan) {
  const auto label = std::string_view(plan.label).substr(0, longest_bar_label);
  const plan_fields fields{plan.total ? static_cast<std::int64_t>(*plan.total) : -1, label.size()};
  body.append(reinterpret_cast<const char*>(&fields), sizeof fields);
  body += label;
}

bool get_plan(body_reader& body, bar_plan& plan) {
  plan_fields fields;
  std::string_view label;
  if (!body.read(fields) || fields.total < -1 || fields.label_bytes > longest_bar_label ||
      !body.take(static_cast<std::size_t>(fields.label_bytes), label))
    return false;
  plan.label = label;
  plan.total.reset();
  if (fields.total >= 0) plan.total = static_cast<std::size_t>(fields.total);
  return true;
}

}  // namespace lenskit::detail
