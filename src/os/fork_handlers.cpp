#include <lenskit/detail/os/fork_handlers.hpp>

#include <link.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace lenskit::detail {
namespace {

// What a loaded object says of its symbols.
struct symbol_tables {
  const ElfW(Sym) * symbols = nullptr;
  const char* names = nullptr;
  const std::uint32_t* hashes = nullptr;  // DT_GNU_HASH

  // Those that it takes from elsewhere come first, before those that can be looked up by their hash.
  [[nodiscard]] std::span<const ElfW(Sym)> wanted() const noexcept {
    if (symbols == nullptr || names == nullptr || hashes == nullptr) return {};
    return {symbols, hashes[1]};
  }
};

symbol_tables tables_of(const dl_phdr_info& object) noexcept {
  symbol_tables found;
  for (const auto& part : std::span(object.dlpi_phdr, object.dlpi_phnum)) {
    if (part.p_type != PT_DYNAMIC) continue;
    for (const auto* entry = reinterpret_cast<const ElfW(Dyn)*>(object.dlpi_addr + part.p_vaddr);  // NOLINT
         entry->d_tag != DT_NULL; ++entry) {
      // The loader has made addresses of them, unless it may not write there.
      auto where = entry->d_un.d_ptr;
      if (where < object.dlpi_addr) where += object.dlpi_addr;
      if (entry->d_tag == DT_SYMTAB) found.symbols = reinterpret_cast<const ElfW(Sym)*>(where);       // NOLINT
      if (entry->d_tag == DT_STRTAB) found.names = reinterpret_cast<const char*>(where);              // NOLINT
      if (entry->d_tag == DT_GNU_HASH) found.hashes = reinterpret_cast<const std::uint32_t*>(where);  // NOLINT
    }
  }
  return found;
}

int look_for_handlers(dl_phdr_info* object, std::size_t, void* found) noexcept {
  const std::string_view path = object->dlpi_name;
  const auto file = path.substr(path.rfind('/') + 1);
  // The kernel's own object has tables that were not moved.
  if (path.empty() || file.starts_with("linux-vdso") || file.starts_with("liblenskit_parallel")) return 0;
  const auto tables = tables_of(*object);
  for (const auto& each : tables.wanted()) {
    if (std::string_view(tables.names + each.st_name) != "__register_atfork") continue;
    *static_cast<bool*>(found) = true;
    return 1;
  }
  return 0;
}

}  // namespace

bool others_handle_forks() noexcept {
  bool found = false;
  ::dl_iterate_phdr(look_for_handlers, &found);
  return found;
}

}  // namespace lenskit::detail
