// Numeric libraries that are part of the program itself.
#pragma once

namespace lenskit::detail {

/// The name of a BLAS that is linked into the program statically, null if none is seen: its threads cannot be limited
/// (V4), because the loader does not know its functions. Looked for once, in the program's table of symbols, which one
/// that was stripped has not.
[[nodiscard]] const char* static_backend() noexcept;

}  // namespace lenskit::detail
