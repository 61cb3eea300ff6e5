// lenskit-doctor: what the library sees of this machine, whether it works here, and if not, why.

#include <lenskit/version.hpp>

#include <fmt/format.h>
#include <fmt/ostream.h>

#include <exception>
#include <iostream>
#include <string_view>

#include "sections.hpp"

namespace {

using namespace lenskit::doctor;

constexpr std::string_view usage =
    "lenskit-doctor [--all | --json]\n"
    "Says whether lenskit-parallel works on this machine, and what to do if it does not.\n"
    "  --all      all that it sees of the machine\n"
    "  --json     the same for machines\n"
    "  --version  the version of the library\n"
    "  --help     this text\n"
    "The exit code is 1 when something is wrong, and 2 for a wrong argument.\n";

constexpr int schema = 1;  // of the JSON: a greater one when what is there changes its meaning

enum class shape { verdict, all, json };

std::string line_of(const finding& one) {
  return one.remedy.empty() ? one.what : fmt::format("{}; what helps: {}", one.what, one.remedy);
}

value texts(const std::vector<finding>& all) {
  value::list lines;
  for (const auto& each : all) lines.emplace_back(line_of(each));
  return lines;
}

void write(const char* heading, const std::vector<finding>& all) {
  if (all.empty()) return;
  fmt::print(std::cout, "{}\n", heading);
  for (const auto& each : all) {
    fmt::print(std::cout, "  {}\n", each.what);
    if (!each.remedy.empty()) fmt::print(std::cout, "    what helps: {}\n", each.remedy);
  }
}

// What somebody wants to know first, and what fits on a screen.
void write_verdict(const findings& found) {
  if (found.problems.empty()) {
    fmt::print(std::cout, "lenskit-parallel {} works on this machine\n", LENSKIT_PARALLEL_VERSION_STRING);
  } else {
    fmt::print(std::cout, "lenskit-parallel {} does not work as it should on this machine\n",
               LENSKIT_PARALLEL_VERSION_STRING);
  }
  write("problems", found.problems);
  write("warnings", found.warnings);
}

int examine(shape wanted) {
  findings found;
  // The engines clear away what was left over.
  auto leftovers = examine_leftovers(found);
  auto engines = examine_engines(found);
  auto cpus = examine_cpus(found);
  const value::table brief{{"cpus", cpus}, {"engines", engines}};
  value::table sections;
  sections.emplace_back("build", examine_build());
  sections.emplace_back("cpus", std::move(cpus));
  sections.emplace_back("memory", examine_memory(found));
  sections.emplace_back("storage", examine_storage(found));
  sections.emplace_back("kernel", examine_kernel(found));
  sections.emplace_back("backends", examine_backends(found));
  sections.emplace_back("settings", examine_settings(found));
  sections.emplace_back("variables", examine_variables());
  sections.emplace_back("leftovers", std::move(leftovers));
  sections.emplace_back("engines", std::move(engines));
  const bool healthy = found.problems.empty();
  if (wanted == shape::json) {
    value::table report{{"schema", schema},
                        {"healthy", healthy},
                        {"problems", texts(found.problems)},
                        {"warnings", texts(found.warnings)}};
    report.insert(report.end(), sections.begin(), sections.end());
    value(std::move(report)).write_json(std::cout);
    std::cout << '\n';
  } else {
    write_verdict(found);
    value(wanted == shape::all ? sections : brief).write_text(std::cout);
    if (wanted == shape::verdict) std::cout << "lenskit-doctor --all shows the rest\n";
  }
  std::cout.flush();
  return healthy && std::cout ? 0 : 1;
}

}  // namespace

int main(int count, char** arguments) try {
  auto wanted = shape::verdict;
  for (int i = 1; i < count; ++i) {
    const std::string_view argument(arguments[i]);
    if (argument == "--json") {
      wanted = shape::json;
    } else if (argument == "--all") {
      wanted = shape::all;
    } else if (argument == "--version") {
      std::cout << LENSKIT_PARALLEL_VERSION_STRING << '\n';
      return 0;
    } else if (argument == "--help" || argument == "-h") {
      std::cout << usage;
      return 0;
    } else {
      std::cerr << "unknown argument " << argument << "\n\n" << usage;
      return 2;
    }
  }
  return examine(wanted);
} catch (const std::exception& error) {
  std::cerr << "cannot examine this machine: " << error.what() << '\n';
  return 1;
}
