#include <lenskit/detail/share/model_parts.hpp>

#include <algorithm>

namespace lenskit::detail {
namespace {

constexpr std::uint64_t least_alignment = 64;
constexpr std::uint64_t page = 4096;                 // a mapping begins on one, so nothing in it can be aligned to more
constexpr std::size_t large = std::size_t{1} << 20;  // begins on a page of its own: whole pages are copied faster

}  // namespace

std::uint64_t model_parts::put(const void* data, std::size_t bytes, std::size_t align) {
  const auto [known, fresh] = tokens_.try_emplace({data, bytes}, arrays_.size());
  if (fresh) {
    arrays_.push_back({0, static_cast<const std::byte*>(data), bytes});
    alignments_.push_back(least_alignment);
  }
  auto& alignment = alignments_[static_cast<std::size_t>(known->second)];
  alignment = std::max<std::uint64_t>(alignment, std::min<std::uint64_t>(align, page));
  return known->second;
}

void model_parts::lay_out(const model_type& type, bool check_all) {
  header_ = {.identity = make_model_identity(type)};
  table_.clear();
  runs_.clear();
  header_.stream_bytes = stream_.size();
  header_.table_offset = aligned_up(sizeof(model_header) + stream_.size(), alignof(array_place));
  header_.array_count = arrays_.size();
  auto end = header_.table_offset + arrays_.size() * sizeof(array_place);
  header_.checked_end = end;
  for (std::size_t i = 0; i < arrays_.size(); ++i) {
    auto& array = arrays_[i];
    array.offset = aligned_up(end, array.bytes < large ? alignments_[i] : page);
    end = array.offset + array.bytes;
    table_.push_back({array.offset, array.bytes});
  }
  header_.checks_offset = aligned_up(end, sizeof(std::uint32_t));
  if (check_all) header_.checked_end = header_.checks_offset;
  header_.total_bytes = header_.checks_offset + block_count(header_) * sizeof(std::uint32_t);

  runs_.push_back({sizeof(model_header), stream_.data(), stream_.size()});
  runs_.push_back(
      {header_.table_offset, reinterpret_cast<const std::byte*>(table_.data()), table_.size() * sizeof(array_place)});
  runs_.insert(runs_.end(), arrays_.begin(), arrays_.end());
  std::erase_if(runs_, [](const run& each) { return each.bytes == 0; });
}

}  // namespace lenskit::detail
