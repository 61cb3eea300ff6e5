#include <lenskit/detail/os/code_address.hpp>

#include <link.h>

#include <cstddef>
#include <span>
#include <string_view>

namespace lenskit::detail {
namespace {

// The offset of `address` in an object, if it lies in what of that may be run.
std::optional<std::uint64_t> offset_in(const dl_phdr_info& object, std::uint64_t address) noexcept {
  for (const auto& part : std::span(object.dlpi_phdr, object.dlpi_phnum)) {
    const auto begin = object.dlpi_addr + part.p_vaddr;
    const bool runs = part.p_type == PT_LOAD && (part.p_flags & PF_X) != 0;
    if (runs && address >= begin && address - begin < part.p_memsz) return address - object.dlpi_addr;
  }
  return std::nullopt;
}

struct search_by_address {
  std::uint64_t address;
  std::optional<std::uint64_t> offset{};
  const char* object = "";
};

int look_for_address(dl_phdr_info* object, std::size_t, void* context) noexcept {
  auto& search = *static_cast<search_by_address*>(context);
  search.offset = offset_in(*object, search.address);
  if (!search.offset) return 0;
  search.object = object->dlpi_name;
  return 1;
}

struct search_by_name {
  const code_address& where;
  const void* found = nullptr;
};

int look_for_name(dl_phdr_info* object, std::size_t, void* context) noexcept {
  auto& search = *static_cast<search_by_name*>(context);
  if (search.where.object != object->dlpi_name) return 0;
  const auto address = object->dlpi_addr + search.where.offset;
  if (offset_in(*object, address)) search.found = reinterpret_cast<const void*>(address);
  return 1;
}

}  // namespace

std::optional<code_address> locate_code(const void* code) {
  search_by_address search{reinterpret_cast<std::uint64_t>(code)};
  ::dl_iterate_phdr(look_for_address, &search);
  if (!search.offset) return std::nullopt;
  return code_address{search.object, *search.offset};
}

const void* code_at(const code_address& where) noexcept {
  search_by_name search{where};
  ::dl_iterate_phdr(look_for_name, &search);
  return search.found;
}

}  // namespace lenskit::detail
