# Each file is wrong in one way and says after `// expect:` which sentence the compiler must print.
file(GLOB cases CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/tests/compile_fail/*.cpp")

# The flags of the library's users, as a response file.
set(flags "$<TARGET_PROPERTY:lenskit_parallel,INTERFACE_INCLUDE_DIRECTORIES>")
set(definitions "$<TARGET_PROPERTY:lenskit_parallel,INTERFACE_COMPILE_DEFINITIONS>")
file(GENERATE OUTPUT "${CMAKE_CURRENT_BINARY_DIR}/consumer_flags" CONTENT
  "-std=c++20\n$<$<BOOL:${flags}>:-I$<JOIN:${flags},\n-I>\n>$<$<BOOL:${definitions}>:-D$<JOIN:${definitions},\n-D>\n>")

foreach(case IN LISTS cases)
  get_filename_component(name "${case}" NAME_WE)
  string(REPLACE "_" " " name "${name}")
  lenskit_parallel_check("does not compile: ${name}" 120
    "${Python3_EXECUTABLE}" -B "${PROJECT_SOURCE_DIR}/tests/project/compile_fail.py" "${case}"
    "${CMAKE_CXX_COMPILER}" "@${CMAKE_CURRENT_BINARY_DIR}/consumer_flags")
endforeach()
