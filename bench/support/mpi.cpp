#include <support/child.hpp>
#include <support/mpi.hpp>

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <filesystem>
#include <stdexcept>
#include <string>
#include <vector>

namespace bench {
namespace {

// Runs a program that is found like a command; what it prints, or nothing if it fails.
std::string output_of(std::vector<std::string> command) {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) fail("pipe");
  child process([&] {
    // mpirun wants to be asked twice before it runs as root, as in a container.
    ::setenv("OMPI_ALLOW_RUN_AS_ROOT", "1", 1);
    ::setenv("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1", 1);
    if (::dup2(ends[1], STDOUT_FILENO) < 0) fail("dup2");
    std::vector<char*> arguments;
    for (auto& each : command) arguments.push_back(each.data());
    arguments.push_back(nullptr);
    ::execvp(arguments[0], arguments.data());
    fail(arguments[0]);
  });
  ::close(ends[1]);
  std::string printed;
  std::array<char, 256> buffer{};
  for (ssize_t got = 0; (got = ::read(ends[0], buffer.data(), buffer.size())) > 0;) {
    printed.append(buffer.data(), static_cast<std::size_t>(got));
  }
  ::close(ends[0]);
  return process.succeeded() ? printed : std::string();
}

std::filesystem::path peer() {
  return std::filesystem::read_symlink("/proc/self/exe").parent_path() / "bench_mpi_peers";
}

bool installed() {
  static const bool is = std::filesystem::exists(peer()) && !output_of({"mpirun", "--version"}).empty();
  return is;
}

}  // namespace

void add_boost_mpi(contest& into, const std::string& what, int chunk, int count) {
  if (!installed()) return;
  const std::vector<std::string> command{"mpirun", "-n", std::to_string(workers + 1), "--oversubscribe",
                                         peer(),   what, std::to_string(chunk),       std::to_string(count)};
  into.add("Boost.MPI, " + std::to_string(chunk) + " a message", [command] {
    const auto printed = output_of(command);
    if (printed.empty()) throw std::runtime_error("mpirun failed");
    return std::stod(printed);
  });
}

}  // namespace bench
