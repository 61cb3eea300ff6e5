#include <lenskit/detail/os/descriptor.hpp>
#include <lenskit/detail/os/static_backends.hpp>
#include <lenskit/detail/os/system.hpp>

#include <sys/mman.h>
#include <sys/stat.h>

#include <elf.h>
#include <fcntl.h>
#include <link.h>

#include <cstddef>
#include <cstring>
#include <span>
#include <string_view>

namespace lenskit::detail {
namespace {

using file_bytes = std::span<const std::byte>;

struct known_backend {
  std::string_view function;  // that sets its threads, as OpenBLAS and others are recognised by elsewhere
  const char* name;
};
constexpr known_backend known_static[] = {{"openblas_set_num_threads", "OpenBLAS"},
                                          {"openblas_set_num_threads64_", "OpenBLAS"},
                                          {"MKL_Set_Num_Threads", "MKL"},
                                          {"bli_thread_set_num_threads", "BLIS"}};

// `count` things of a file, nothing if it ends before.
template <class T>
std::span<const T> part(file_bytes file, std::size_t at, std::size_t count) noexcept {
  if (at > file.size() || count > (file.size() - at) / sizeof(T) || at % alignof(T) != 0) return {};
  return {reinterpret_cast<const T*>(file.data() + at), count};
}

const char* find_in(std::span<const ElfW(Sym)> symbols, std::span<const char> names) noexcept {
  for (const auto& symbol : symbols) {
    if (symbol.st_shndx == SHN_UNDEF || (symbol.st_info & 0xF) != STT_FUNC || symbol.st_name >= names.size()) continue;
    const auto rest = names.subspan(symbol.st_name);
    const std::string_view name(rest.data(), ::strnlen(rest.data(), rest.size()));
    for (const auto& each : known_static) {
      if (name == each.function) return each.name;
    }
  }
  return nullptr;
}

const char* find_in(file_bytes file) noexcept {
  const auto head = part<ElfW(Ehdr)>(file, 0, 1);
  if (head.empty() || std::memcmp(head[0].e_ident, ELFMAG, SELFMAG) != 0) return nullptr;
  const auto sections = part<ElfW(Shdr)>(file, head[0].e_shoff, head[0].e_shnum);
  for (const auto& each : sections) {
    if (each.sh_type != SHT_SYMTAB || each.sh_link >= sections.size()) continue;
    const auto& names = sections[each.sh_link];
    if (const char* found = find_in(part<ElfW(Sym)>(file, each.sh_offset, each.sh_size / sizeof(ElfW(Sym))),
                                    part<char>(file, names.sh_offset, names.sh_size)))
      return found;
  }
  return nullptr;
}

const char* look() noexcept {
  const auto gate = descriptor_gate();
  const descriptor program(sys::open("/proc/self/exe", O_RDONLY));
  struct stat status {};
  if (!program || sys::fstat(program.get(), status) != 0 || status.st_size <= 0) return nullptr;
  const auto size = static_cast<std::size_t>(status.st_size);
  void* const at = sys::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, program.get(), 0);
  if (at == MAP_FAILED) return nullptr;
  const char* found = find_in({static_cast<const std::byte*>(at), size});
  sys::munmap(at, size);
  return found;
}

}  // namespace

const char* static_backend() noexcept {
  static const char* const found = look();
  return found;
}

}  // namespace lenskit::detail
