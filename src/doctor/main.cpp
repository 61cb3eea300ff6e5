// lenskit-doctor: what the library sees of this machine, whether it works here, and if not, why.

#include <exception>
#include <iostream>
#include <string_view>

#include "sections.hpp"

namespace {

constexpr std::string_view usage =
    "lenskit-doctor [--json]\n"
    "Shows what lenskit-parallel sees of this machine and runs a small job on each engine.\n"
    "  --json  for machines\n"
    "  --help  this text\n"
    "The exit code is 1 when something is wrong, with the reasons under \"problems\", and 2 for a wrong argument.\n";

lenskit::doctor::value texts(const std::vector<std::string>& lines) {
  return lenskit::doctor::value::list(lines.begin(), lines.end());
}

int examine(bool json) {
  using namespace lenskit::doctor;
  findings found;
  // The order matters: the engines clear away what was left over, and looking at the backends loads libraries, some of
  // which start threads.
  auto leftovers = examine_leftovers(found);
  auto engines = examine_engines(found);
  value::table report;
  report.emplace_back("build", examine_build());
  report.emplace_back("cpus", examine_cpus(found));
  report.emplace_back("memory", examine_memory(found));
  report.emplace_back("storage", examine_storage(found));
  report.emplace_back("kernel", examine_kernel(found));
  report.emplace_back("backends", examine_backends(found));
  report.emplace_back("settings", examine_settings(found));
  report.emplace_back("variables", examine_variables());
  report.emplace_back("leftovers", std::move(leftovers));
  report.emplace_back("engines", std::move(engines));
  report.emplace_back("warnings", texts(found.warnings));
  report.emplace_back("problems", texts(found.problems));
  const bool healthy = found.problems.empty();
  report.emplace_back("healthy", healthy);
  const value whole(std::move(report));
  if (json) {
    whole.write_json(std::cout);
    std::cout << '\n';
  } else {
    whole.write_text(std::cout);
  }
  std::cout.flush();
  return healthy && std::cout ? 0 : 1;
}

}  // namespace

int main(int count, char** arguments) try {
  bool json = false;
  for (int i = 1; i < count; ++i) {
    const std::string_view argument(arguments[i]);
    if (argument == "--json") {
      json = true;
    } else if (argument == "--help" || argument == "-h") {
      std::cout << usage;
      return 0;
    } else {
      std::cerr << "unknown argument " << argument << "\n\n" << usage;
      return 2;
    }
  }
  return examine(json);
} catch (const std::exception& error) {
  std::cerr << "cannot examine this machine: " << error.what() << '\n';
  return 1;
}
