#include <lenskit/detail/os/descriptor.hpp>
#include <lenskit/detail/os/system.hpp>
#include <lenskit/detail/os/text_file.hpp>

#include <fcntl.h>

#include <array>

namespace lenskit::detail {

std::optional<std::string> read_text_file(const std::filesystem::path& file) {
  const auto gate = descriptor_gate();
  const descriptor opened(sys::retry([&]() noexcept { return sys::open(file.c_str(), O_RDONLY); }));
  if (!opened) return std::nullopt;
  std::string text;
  std::array<char, 4096> piece;
  for (;;) {
    const auto got = sys::retry([&]() noexcept { return sys::read(opened.get(), piece.data(), piece.size()); });
    if (got < 0) return std::nullopt;
    if (got == 0) return text;
    text.append(piece.data(), static_cast<std::size_t>(got));
  }
}

}  // namespace lenskit::detail
