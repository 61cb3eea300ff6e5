// NumPy as an oracle: runs the system's Python.
#pragma once

#include <string>

namespace lenskit::tests {

/// Whether this machine has Python with NumPy.
bool have_numpy();

/// What the script prints; throws std::runtime_error when it fails.
std::string run_python(const std::string& script);

}  // namespace lenskit::tests
