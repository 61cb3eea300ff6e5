#include "value.hpp"

#include <boost/nowide/utf/utf.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <ostream>

namespace lenskit::doctor {
namespace {

// Paths and variables may hold any bytes: what is no UTF-8 is written as if it were Latin-1, so that the result is
// always valid JSON.
std::string quoted(const std::string& text) {
  namespace utf = boost::nowide::utf;
  std::string json(1, '"');
  for (auto at = text.begin(); at != text.end();) {
    auto behind = at;
    const auto code = utf::utf_traits<char>::decode(behind, text.end());
    if (!utf::is_valid_codepoint(code)) {
      json.append(fmt::format("\\u{:04x}", static_cast<unsigned char>(*at++)));
      continue;
    }
    if (*at == '"' || *at == '\\') json.push_back('\\');
    if (code < 0x20 || code == 0x7f) {
      json.append(fmt::format("\\u{:04x}", static_cast<std::uint32_t>(code)));
    } else {
      json.append(at, behind);
    }
    at = behind;
  }
  json.push_back('"');
  return json;
}

std::string spaces(std::size_t count) { return std::string(count, ' '); }
std::string spaces(int count) { return spaces(static_cast<std::size_t>(count)); }

}  // namespace

value::value(table entries) : kind_(kind::table) {
  for (auto& entry : entries) {
    keys_.push_back(std::move(entry.first));
    items_.push_back(std::move(entry.second));
  }
}

value value::bytes(std::uint64_t count) {
  constexpr std::array units{"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
  auto amount = static_cast<double>(count);
  std::size_t unit = 0;
  for (; amount >= 1024 && unit + 1 < units.size(); ++unit) amount /= 1024;
  return value(count).shown_as(unit == 0 ? fmt::format("{} B", count) : fmt::format("{:.1f} {}", amount, units[unit]));
}

value value::shown_as(std::string line) && {
  shown_ = std::move(line);
  return std::move(*this);
}

bool value::nested() const { return shown_.empty() && !items_.empty(); }

void value::write_json(std::ostream& out, int indent) const {
  switch (kind_) {
    case kind::unknown: out << "null"; break;
    case kind::flag: out << (flag_ ? "true" : "false"); break;
    case kind::whole: out << whole_; break;
    case kind::number: out << fmt::format("{}", number_); break;
    case kind::text: out << quoted(text_); break;
    case kind::list:
    case kind::table: write_nested_json(out, indent); break;
  }
}

void value::write_nested_json(std::ostream& out, int indent) const {
  const bool keyed = kind_ == kind::table;
  out << (keyed ? '{' : '[');
  for (std::size_t i = 0; i < items_.size(); ++i) {
    out << (i == 0 ? "\n" : ",\n") << spaces(indent + 2);
    if (keyed) out << quoted(keys_[i]) << ": ";
    items_[i].write_json(out, indent + 2);
  }
  if (!items_.empty()) out << '\n' << spaces(indent);
  out << (keyed ? '}' : ']');
}

void value::write_line(std::ostream& out) const {
  if (!shown_.empty()) {
    out << shown_ << '\n';
    return;
  }
  switch (kind_) {
    case kind::flag: out << (flag_ ? "yes" : "no"); break;
    case kind::whole: out << whole_; break;
    case kind::number: out << fmt::format("{:.3g}", number_); break;
    case kind::text: out << text_; break;
    case kind::unknown:
    case kind::list:
    case kind::table: out << "none"; break;
  }
  out << '\n';
}

void value::write_text(std::ostream& out, int indent) const {
  if (!nested()) {
    out << spaces(indent);
    write_line(out);
    return;
  }
  if (kind_ == kind::list) {
    for (const auto& item : items_) item.write_text(out, indent);
    return;
  }
  std::size_t width = 0;
  for (std::size_t i = 0; i < items_.size(); ++i) {
    if (!items_[i].nested()) width = std::max(width, keys_[i].size());
  }
  for (std::size_t i = 0; i < items_.size(); ++i) {
    out << spaces(indent) << keys_[i];
    if (items_[i].nested()) {
      out << '\n';
      items_[i].write_text(out, indent + 2);
    } else {
      out << spaces(width - keys_[i].size() + 2);
      items_[i].write_line(out);
    }
  }
}

}  // namespace lenskit::doctor
