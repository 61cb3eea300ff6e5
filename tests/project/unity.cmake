# The library as one translation unit, which proves that names at namespace scope are unique in the house: a name that
# two sources share is a clash here, and a local name that hides one a warning. What the unit defines is all there is to
# the library: a program that links nothing else of it works.
get_target_property(sources lenskit_parallel SOURCES)
get_target_property(needed lenskit_parallel LINK_LIBRARIES)
list(FILTER sources INCLUDE REGEX "\\.cpp$")
list(SORT sources)
list(TRANSFORM sources REPLACE "^(.+)$" "#include \"\\1\"\n" OUTPUT_VARIABLE unit)
string(CONCAT unit ${unit})
file(CONFIGURE OUTPUT unity.cpp CONTENT "${unit}" @ONLY)
add_executable(unity EXCLUDE_FROM_ALL "${CMAKE_CURRENT_BINARY_DIR}/unity.cpp" consumer/main.cpp)
target_include_directories(unity PRIVATE $<TARGET_PROPERTY:lenskit_parallel,INTERFACE_INCLUDE_DIRECTORIES>)
target_include_directories(unity SYSTEM PRIVATE ${TOMLPLUSPLUS_INCLUDE_DIR})
target_link_libraries(unity PRIVATE ${needed})
target_compile_features(unity PRIVATE cxx_std_20)
target_compile_options(unity PRIVATE -O0 -g0)
lenskit_parallel_warnings(unity)

lenskit_parallel_check("the library compiles as one unit" 600
  "${CMAKE_COMMAND}" --build "${PROJECT_BINARY_DIR}" --target unity)
lenskit_parallel_check("a program works with the library as one unit" 120 $<TARGET_FILE:unity>)
set_tests_properties("project: the library compiles as one unit" PROPERTIES
  FIXTURES_SETUP unity RESOURCE_LOCK build)
set_tests_properties("project: a program works with the library as one unit" PROPERTIES FIXTURES_REQUIRED unity)
