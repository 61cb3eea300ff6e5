# Small projects that use the library as its users do.
foreach(way IN ITEMS find_package pkg_config add_subdirectory)
  lenskit_parallel_check("a program uses the library through ${way}" 600
    "${CMAKE_COMMAND}" -E env "CMAKE_GENERATOR=${CMAKE_GENERATOR}"
    "${PROJECT_SOURCE_DIR}/tests/consumer/check" ${way} "${PROJECT_SOURCE_DIR}" "${PROJECT_BINARY_DIR}"
    "${CMAKE_CURRENT_BINARY_DIR}/consumer_${way}" "${CMAKE_CXX_COMPILER}")
endforeach()
