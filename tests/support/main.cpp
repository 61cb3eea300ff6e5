// Runs the test cases in clean surroundings: tagged, so that descendants can be found again, without the caller's
// settings, and with a directory of its own for temporary files.
#define CATCH_CONFIG_RUNNER
#define CATCH_CONFIG_NO_POSIX_SIGNALS  // workers would inherit its handlers of faults, and tell of failed tests
#include <support/catch.hpp>
#include <support/leaks.hpp>

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

extern char** environ;

namespace {

namespace fs = std::filesystem;

// The environment that /proc shows of a process and its forks is the one of its last exec. The process id stays the
// same across an exec and so tells a program that was tagged here from one that a tagged test started.
void tag_this_process(char** arguments) {
  const std::string tag = std::to_string(getpid());
  const char* now = std::getenv(lenskit::tests::tag_variable);
  if (now && now == tag) return;
  setenv(lenskit::tests::tag_variable, tag.c_str(), 1);
  execv("/proc/self/exe", arguments);
  std::perror("cannot start again with a tag");
}

void forget_settings() {
  std::vector<std::string> names;
  for (char** entry = environ; *entry; ++entry) {
    const std::string name(*entry, std::string(*entry).find('='));
    if (name.starts_with("LK_") || name.ends_with("_NUM_THREADS")) names.push_back(name);
  }
  for (const auto& name : names) unsetenv(name.c_str());
}

class temporary_directory {
 public:
  temporary_directory() {
    fs::create_directories(LENSKIT_TESTS_SCRATCH);
    std::string pattern = LENSKIT_TESTS_SCRATCH "/XXXXXX";
    if (!mkdtemp(pattern.data())) throw fs::filesystem_error("cannot create directory", pattern, {});
    path_ = pattern;
    setenv("TMPDIR", path_.c_str(), 1);
  }
  temporary_directory(const temporary_directory&) = delete;
  ~temporary_directory() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }

 private:
  fs::path path_;
};

struct listed_case {
  std::string name;
  std::vector<std::string> tags;
};

// Writes what ctest reads: one add_test a test case, with its tags as labels. [serial] keeps other tests away while the
// case runs, [slow] gives it four times the time.
void write_ctest_file(const std::vector<listed_case>& cases, const std::string& program) {
  std::ofstream out(std::getenv("LENSKIT_TESTS_CTEST_FILE"));
  const auto setting = [](const char* name) { return std::string(std::getenv(name) ? std::getenv(name) : ""); };
  const int seconds = std::stoi("0" + setting("LENSKIT_TESTS_TIMEOUT"));
  for (const auto& one : cases) {
    const auto has = [&](const char* tag) {
      return std::find(one.tags.begin(), one.tags.end(), tag) != one.tags.end();
    };
    const std::string group = setting("LENSKIT_TESTS_LABEL");
    std::string filter, labels = group;
    for (const char c : one.name) {
      if (c == ',' || c == '[' || c == ']' || c == '\\' || c == '*' || c == '"') filter += '\\';
      filter += c;
    }
    for (const auto& tag : one.tags) labels += ';' + tag;
    // Bracket arguments take every character as it is.
    const std::string name = "[==[" + group + ": " + one.name + "]==]";
    out << "add_test(" << name << " [==[" << program << "]==] [==[" << filter << "]==])\n"
        << "set_tests_properties(" << name << " PROPERTIES TIMEOUT " << seconds * (has("slow") ? 4 : 1)
        << (has("serial") ? " RUN_SERIAL ON" : "") << " LABELS [==[" << labels
        << "]==] SKIP_REGULAR_EXPRESSION \"skipped: \""
        << " FAIL_REGULAR_EXPRESSION \"No test(s| cases) (ran|matched)\")\n";
  }
}

#if LENSKIT_TESTS_CATCH == 3
class ctest_lister : public Catch::EventListenerBase {
 public:
  using Catch::EventListenerBase::EventListenerBase;
  void listTests(const std::vector<Catch::TestCaseHandle>& handles) override {
    if (!std::getenv("LENSKIT_TESTS_CTEST_FILE")) return;
    std::vector<listed_case> cases;
    for (const auto& handle : handles) {
      const auto& info = handle.getTestCaseInfo();
      auto& one = cases.emplace_back(listed_case{info.name, {}});
      for (const auto& tag : info.tags) one.tags.emplace_back(std::string(tag.original));
    }
    write_ctest_file(cases, fs::read_symlink("/proc/self/exe"));
  }
};
CATCH_REGISTER_LISTENER(ctest_lister)
#else
void list_for_ctest() {
  std::vector<listed_case> cases;
  for (const auto& one : Catch::getRegistryHub().getTestCaseRegistry().getAllTests())
    if (!one.isHidden()) cases.push_back({one.name, one.tags});
  write_ctest_file(cases, fs::read_symlink("/proc/self/exe"));
}
#endif

}  // namespace

int main(int count, char** arguments) {
#if LENSKIT_TESTS_CATCH == 2
  if (std::getenv("LENSKIT_TESTS_CTEST_FILE")) return list_for_ctest(), 0;
#endif
  tag_this_process(arguments);
  forget_settings();
  const temporary_directory temporary;
  const int result = Catch::Session().run(count, arguments);
  return result != 0 || lenskit::tests::cases_that_leaked() != 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
