// The trial "chaos".
#pragma once

#include "trial.hpp"

namespace lenskit::soak {

std::vector<score> run_chaos(const settings& how);

}  // namespace lenskit::soak
