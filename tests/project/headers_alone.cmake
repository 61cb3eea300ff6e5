# One translation unit a header that includes nothing else, so each header is proved to bring what it needs. Twice,
# so that its guard is proved as well. Built by the test itself: only what changed since the last time.
file(GLOB_RECURSE headers CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/include/*.hpp" "${PROJECT_SOURCE_DIR}/src/*.hpp")
set(units "")
foreach(header IN LISTS headers)
  file(RELATIVE_PATH relative "${PROJECT_SOURCE_DIR}" "${header}")
  string(MAKE_C_IDENTIFIER "${relative}" unit)
  file(CONFIGURE OUTPUT "headers/${unit}.cpp" CONTENT "#include \"${header}\"\n#include \"${header}\"\n")
  list(APPEND units "${CMAKE_CURRENT_BINARY_DIR}/headers/${unit}.cpp")
endforeach()
add_library(headers_alone OBJECT EXCLUDE_FROM_ALL ${units})
target_link_libraries(headers_alone PRIVATE lenskit::parallel)
target_compile_options(headers_alone PRIVATE -O0 -g0 -Werror)
lenskit_parallel_warnings(headers_alone)

lenskit_parallel_check("every header compiles alone" 600
  "${CMAKE_COMMAND}" --build "${PROJECT_BINARY_DIR}" --target headers_alone)
# One build at a time.
set_property(TEST "project: every header compiles alone" PROPERTY RESOURCE_LOCK build)
