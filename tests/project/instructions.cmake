# The work that a task costs the library, in instructions: a measure of speed that noise does not reach.
add_executable(instructions "${CMAKE_CURRENT_SOURCE_DIR}/instructions/main.cpp")
target_link_libraries(instructions PRIVATE lenskit::parallel)
lenskit_parallel_warnings(instructions)
string(REGEX MATCH "^[0-9]+" compiler_major "${CMAKE_CXX_COMPILER_VERSION}")
lenskit_parallel_check("a task takes no more instructions than it did" 300
  "${Python3_EXECUTABLE}" -B "${PROJECT_SOURCE_DIR}/tests/project/instructions.py" $<TARGET_FILE:instructions>
  "${PROJECT_SOURCE_DIR}/tests/instructions/stored.json"
  "${CMAKE_CXX_COMPILER_ID} ${compiler_major} ${CMAKE_SYSTEM_PROCESSOR}")
