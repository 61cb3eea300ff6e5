// What the doctor looks at: each section looks, adds what is wrong to the findings and returns what it saw.
#pragma once

#include "value.hpp"

namespace lenskit::doctor {

value examine_build();
value examine_cpus(findings& found);
value examine_memory(findings& found);
value examine_storage(findings& found);
value examine_kernel(findings& found);
value examine_backends(findings& found);
value examine_settings(findings& found);
value examine_variables();
value examine_leftovers(findings& found);
value examine_engines(findings& found);

}  // namespace lenskit::doctor
