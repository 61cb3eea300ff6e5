#include <support/numpy.hpp>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <stdexcept>

#include <unistd.h>

namespace lenskit::tests {

bool have_numpy() {
  static const bool have = std::system("/usr/bin/python3 -c 'import numpy' >/dev/null 2>&1") == 0;
  return have;
}

std::string run_python(const std::string& script) {
  const auto file = std::filesystem::temp_directory_path() / ("lenskit-oracle-" + std::to_string(getpid()) + ".py");
  std::ofstream(file) << script;
  std::string output;
  FILE* python = popen(("/usr/bin/python3 '" + file.string() + "'").c_str(), "r");
  if (python != nullptr) {
    char part[4096];
    while (const std::size_t n = std::fread(part, 1, sizeof part, python)) output.append(part, n);
  }
  const int status = python != nullptr ? pclose(python) : -1;
  std::filesystem::remove(file);
  if (status != 0) throw std::runtime_error("cannot run the oracle: python ended with " + std::to_string(status));
  return output;
}

}  // namespace lenskit::tests
