// How much room text takes on a terminal.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace lenskit::detail {

/// The columns that UTF-8 text takes: two for what East Asian scripts and emoji are (UAX 11), none for marks that lie
/// over others, one for anything else, a byte that is no UTF-8 included. Does not ask the locale.
[[nodiscard]] std::size_t text_width(std::string_view text) noexcept;

/// As much of the beginning of `text` as fits into so many columns, cut between characters.
[[nodiscard]] std::string_view clipped_text(std::string_view text, std::size_t columns) noexcept;

/// The text without what would spoil a line: each line break, escape or other control character becomes a space.
[[nodiscard]] std::string printable_text(std::string_view text);

}  // namespace lenskit::detail
