#include <lenskit/settings.hpp>

#include <lenskit/detail/settings/config_file.hpp>
#include <lenskit/detail/settings/resolve.hpp>
#include <lenskit/error.hpp>
#include <lenskit/proc_count.hpp>
#include <lenskit/random.hpp>
#include <support/catch.hpp>
#include <support/file_tree.hpp>
#include <support/in_child.hpp>
#include <support/message_of.hpp>
#include <support/variable.hpp>

#include <filesystem>
#include <string>
#include <vector>

using lenskit::configure;
using lenskit::parallel_config;
using lenskit::parallel_settings;
using lenskit::settings_error;
using lenskit::detail::read_config_file;
using lenskit::detail::setting_keys;
using lenskit::tests::file_tree;
using lenskit::tests::holds_in_child;
using lenskit::tests::mentions;
using lenskit::tests::message_of;
using lenskit::tests::variable;

namespace {

std::string parallel_table(const char* name, int value) {
  return "[parallel]\n" + std::string(name) + " = " + std::to_string(value) + "\n";
}

// The settings that a program gets, in a process of its own, from all the places that can say something. 0 leaves a
// place out.
bool program_gets(int expected, const lenskit::detail::setting_key& key, int argument, int variable_value, int local,
                  int shared) {
  file_tree tree;
  if (local != 0) tree.write("lenskit.local.toml", parallel_table(key.name, local));
  if (shared != 0) tree.write("lenskit.toml", parallel_table(key.name, shared));
  return holds_in_child([&] {
    const variable set(key.variable,
                       variable_value != 0 ? std::optional(std::to_string(variable_value)) : std::nullopt);
    parallel_settings arguments;
    arguments.*key.number = argument;
    if (argument != 0) lenskit::initialize(arguments);
    return configure(tree.root()).*key.number == expected && parallel_config().*key.number == expected;
  });
}

std::vector<std::string> warnings_of(const std::string& text) {
  file_tree tree;
  std::vector<std::string> warnings;
  (void)read_config_file(tree.write("lenskit.toml", text),
                         [&](const std::string& warning) { warnings.push_back(warning); });
  return warnings;
}

std::string error_of(const std::string& text) {
  file_tree tree;
  return message_of<settings_error>(
      [&] { (void)read_config_file(tree.write("lenskit.toml", text), [](const std::string&) {}); });
}

}  // namespace

TEST_CASE("every number is read from arguments, the environment and both files, in that order") {
  for (const auto& key : setting_keys) {
    if (key.number == nullptr) continue;
    INFO(key.name);
    CHECK(program_gets(41, key, 41, 42, 43, 44));
    CHECK(program_gets(42, key, 0, 42, 43, 44));
    CHECK(program_gets(43, key, 0, 0, 43, 44));
    CHECK(program_gets(44, key, 0, 0, 0, 44));
  }
}

TEST_CASE("a number that is 0 or absent gets the same default from every source") {
  for (const auto& key : setting_keys) {
    if (key.number == nullptr) continue;
    INFO(key.name);
    file_tree tree;
    tree.write("lenskit.toml", parallel_table(key.name, 0));
    parallel_settings plain;
    plain.resolve_defaults();
    CHECK(holds_in_child([&] { return configure(tree.root()) == plain; }));
    CHECK(holds_in_child([&] {
      const variable zero(key.variable, "0");
      return parallel_config() == plain;
    }));
    CHECK(holds_in_child([&] {
      lenskit::initialize({});
      return parallel_config() == plain;
    }));
  }
}

TEST_CASE("defaults are derived from the CPUs") {
  struct row {
    int cpus, procs, threads, backend, child;
  };
  for (const row& r :
       {row{1, 1, 1, 1, 1}, row{2, 2, 2, 1, 1}, row{8, 4, 8, 1, 2}, row{16, 4, 8, 2, 4}, row{64, 4, 8, 4, 4}}) {
    parallel_settings settings{.num_cpus = r.cpus};
    settings.resolve_defaults();
    INFO(r.cpus);
    CHECK(settings == parallel_settings{.num_cpus = r.cpus,
                                        .num_procs = r.procs,
                                        .num_batch_jobs = r.threads,
                                        .num_threads = r.threads,
                                        .num_backend_threads = r.backend,
                                        .num_child_threads = r.child});
  }
  parallel_settings settings{.num_cpus = 16, .num_procs = 16, .num_threads = 4};
  settings.resolve_defaults();
  CHECK(settings.num_batch_jobs == 4);
  CHECK(settings.num_backend_threads == 4);
  CHECK(settings.num_child_threads == 1);
  parallel_settings none;
  none.resolve_defaults();
  CHECK(none.num_cpus == lenskit::effective_cpu_count());
}

TEST_CASE("minus one is all CPUs for counts and hands off for backend threads") {
  parallel_settings settings{.num_cpus = 12,
                             .num_procs = -1,
                             .num_batch_jobs = -1,
                             .num_threads = -1,
                             .num_backend_threads = -1,
                             .num_child_threads = -1};
  settings.resolve_defaults();
  CHECK(settings.num_procs == 12);
  CHECK(settings.num_batch_jobs == 12);
  CHECK(settings.num_threads == 12);
  CHECK(settings.num_backend_threads == -1);
  CHECK(settings.num_child_threads == -1);
  CHECK(settings.total_threads() == 12);
}

TEST_CASE("total_threads is the program's times the backends'") {
  CHECK(parallel_settings{.num_cpus = 64}.total_threads() == 32);
  CHECK(parallel_settings{.num_threads = 3, .num_backend_threads = 5}.total_threads() == 15);
}

TEST_CASE("env_vars hands everything to another program") {
  const variable mkl("MKL_NUM_THREADS", "9");
  const auto variables = parallel_settings{.num_cpus = 16, .num_backend_threads = 3}.env_vars();
  CHECK(variables.at("LK_NUM_CPUS") == "16");
  CHECK(variables.at("LK_NUM_PROCS") == "4");
  CHECK(variables.at("LK_NUM_BATCH_JOBS") == "8");
  CHECK(variables.at("LK_NUM_THREADS") == "8");
  CHECK(variables.at("LK_NUM_BACKEND_THREADS") == "3");
  CHECK(variables.at("LK_NUM_CHILD_THREADS") == "4");
  CHECK(variables.at("OMP_NUM_THREADS") == "3");
  CHECK(variables.at("OPENBLAS_NUM_THREADS") == "3");
  CHECK(variables.count("MKL_NUM_THREADS") == 0);
  CHECK(parallel_settings{.num_backend_threads = -1}.env_vars().count("OMP_NUM_THREADS") == 0);
}

TEST_CASE("a second initialize changes nothing") {
  CHECK(holds_in_child([] {
    lenskit::initialize({.num_threads = 3});
    const auto* before = &parallel_config();
    lenskit::initialize({.num_threads = 5});
    lenskit::ensure_parallel_init();
    return &parallel_config() == before && before->num_threads == 3;
  }));
}

TEST_CASE("workers get one process, one thread and the child threads") {
  CHECK(holds_in_child([] {
    lenskit::initialize({.num_cpus = 16, .num_child_threads = 3});
    const auto worker = lenskit::subprocess_config();
    return worker.num_procs == 1 && worker.num_threads == 1 && worker.num_backend_threads == 3 &&
           worker.num_child_threads == 1 && worker.num_batch_jobs == 1;
  }));
}

TEST_CASE("workers never have more backend threads than CPUs unless the user asked for it") {
  CHECK(holds_in_child([] {
    lenskit::initialize({.num_cpus = 16});
    const auto backend = [](int n_jobs) { return lenskit::detail::worker_settings(n_jobs).num_backend_threads; };
    return backend(1) == 4 && backend(4) == 4 && backend(8) == 2 && backend(16) == 1 && backend(100) == 1;
  }));
  CHECK(holds_in_child([] {
    lenskit::initialize({.num_cpus = 2, .num_child_threads = 6});
    return lenskit::detail::worker_settings(8).num_backend_threads == 6;
  }));
}

TEST_CASE("a worker's settings are its own") {
  CHECK(holds_in_child([] {
    lenskit::initialize({.num_cpus = 16});
    lenskit::detail::apply_worker_threads(lenskit::detail::worker_settings(8));
    return parallel_config().num_procs == 1 && parallel_config().num_backend_threads == 2;
  }));
}

TEST_CASE("a bad variable is an error that names it and its value") {
  for (const auto& key : setting_keys) {
    for (const char* text : {"many", "2x", "-7"}) {
      const variable bad(key.variable, text);
      CHECK(mentions(message_of<settings_error>(parallel_config), {std::string(key.variable) + "=" + text}));
    }
  }
  const variable bad("LK_USE_RAY", "perhaps");
  CHECK(mentions(message_of<settings_error>(parallel_config), {"LK_USE_RAY=perhaps"}));
}

TEST_CASE("a bad argument is an error that names it") {
  CHECK(mentions(message_of<settings_error>([] { lenskit::initialize({.num_threads = -2}); }), {"num_threads = -2"}));
}

TEST_CASE("asking for Ray is an error that names the engines there are") {
  {
    const variable ray("LK_USE_RAY", "1");
    CHECK(mentions(message_of<settings_error>([] { lenskit::initialize(); }),
                   {"LK_USE_RAY=1", "in_process", "threads", "processes"}));
  }
  CHECK(mentions(message_of<settings_error>([] { lenskit::initialize({.use_ray = true}); }),
                 {"in_process", "threads", "processes"}));
  file_tree tree;
  tree.write("lenskit.toml", "[parallel]\nuse_ray = true\n");
  CHECK(mentions(message_of<settings_error>([&] { configure(tree.root()); }),
                 {"lenskit.toml:2", "in_process", "threads", "processes"}));
  CHECK(holds_in_child([&] {
    const variable no_ray("LK_USE_RAY", "0");
    return !configure(tree.root()).use_ray;
  }));
}

TEST_CASE("a wrong value in a file is an error with file, line, key and value") {
  CHECK(
      mentions(error_of("[parallel]\n\nnum_threads = \"four\"\n"), {"lenskit.toml:3", "parallel.num_threads", "four"}));
  CHECK(mentions(error_of("[parallel]\nnum_procs = 2.5\n"), {"lenskit.toml:2", "num_procs = 2.5"}));
  CHECK(mentions(error_of("[parallel]\nnum_procs = -2\n"), {"num_procs = -2"}));
  CHECK(mentions(error_of("[parallel]\nnum_procs = 99999999999\n"), {"num_procs = 99999999999"}));
  CHECK(mentions(error_of("[parallel]\nnum_procs = [7, 3]\n"), {"num_procs = [ 7, 3 ]"}));
  CHECK(mentions(error_of("[parallel]\nuse_ray = 1\n"), {"use_ray = 1", "true or false"}));
  CHECK(mentions(error_of("[random]\nseed = -1\n"), {"random.seed = -1"}));
  CHECK(mentions(error_of("[random]\nseed = \"x\"\n"), {"random.seed"}));
  CHECK(mentions(error_of("parallel = 4\n"), {"lenskit.toml:1", "parallel = 4"}));
  CHECK(mentions(error_of("[parallel]\nnum_procs = = 3\n"), {"lenskit.toml:2"}));
}

TEST_CASE("unknown keys are warned about by name, other tables are not") {
  const auto warnings =
      warnings_of("[parallel]\nnum_procs = 2\nnum_process = 4\n[random]\nsede = 3\n[prometheus]\nx = 1\n");
  REQUIRE(warnings.size() == 2);
  CHECK(mentions(warnings[0] + warnings[1], {"parallel.num_process", "lenskit.toml:3", "random.sede"}));
}

TEST_CASE("configure without files gives the defaults") {
  const file_tree tree;
  CHECK(holds_in_child([&] {
    parallel_settings plain;
    plain.resolve_defaults();
    return configure(tree.root()) == plain && configure(tree.root() / "missing") == plain;
  }));
}

TEST_CASE("a bad file changes nothing") {
  file_tree tree;
  tree.write("lenskit.toml", "[parallel]\nnum_threads = 3\n[random]\nseed = 1\n");
  CHECK(holds_in_child([&] {
    configure(tree.root());
    tree.write("lenskit.local.toml", "[parallel]\nnum_threads = 4\n[random]\nseed = false\n");
    try {
      configure(tree.root());
    } catch (const settings_error&) {
      return parallel_config().num_threads == 3 && lenskit::root_seed() == lenskit::seed_sequence(1);
    }
    return false;
  }));
}

TEST_CASE("a file that exists but cannot be read is an error") {
  file_tree tree;
  std::filesystem::create_directory(tree.root() / "lenskit.toml");
  CHECK_THROWS_AS(configure(tree.root()), settings_error);
}

TEST_CASE("configure may be called again, and the last call holds") {
  file_tree one, two;
  one.write("lenskit.toml", parallel_table("num_procs", 3));
  two.write("lenskit.toml", parallel_table("num_procs", 5));
  CHECK(holds_in_child([&] {
    const auto& first = configure(one.root());
    return lenskit::proc_count() == 3 && configure(two.root()).num_procs == 5 && first.num_procs == 3 &&
           lenskit::proc_count() == 5;
  }));
}

TEST_CASE("the seed of the files seeds the program, the local one first") {
  file_tree tree;
  tree.write("lenskit.toml", "[random]\nseed = 42\n");
  CHECK(holds_in_child([&] {
    configure(tree.root());
    return lenskit::root_seed() == lenskit::seed_sequence(42);
  }));
  tree.write("lenskit.local.toml", "[random]\nseed = 43\n");
  CHECK(holds_in_child([&] {
    configure(tree.root());
    return lenskit::root_seed() == lenskit::seed_sequence(43);
  }));
}

TEST_CASE("the configuration root is the nearest directory upwards with a lenskit.toml") {
  namespace fs = std::filesystem;
  file_tree tree;
  const fs::path root = fs::canonical(tree.root());
  tree.write("project/lenskit.toml", "");
  fs::create_directories(tree.root() / "project/src/deep");
  CHECK(lenskit::locate_configuration_root(tree.root() / "project/src/deep") == root / "project");
  CHECK(lenskit::locate_configuration_root(tree.root() / "project") == root / "project");
  fs::create_directories(tree.root() / "project/src/.git");
  CHECK_FALSE(lenskit::locate_configuration_root(tree.root() / "project/src/deep").has_value());
  tree.write("other/pyproject.toml", "");
  tree.write("lenskit.toml", "");
  CHECK_FALSE(lenskit::locate_configuration_root(tree.root() / "other").has_value());
  const fs::path before = fs::current_path();
  fs::current_path(tree.root() / "project");
  const auto from_here = lenskit::locate_configuration_root();
  fs::current_path(before);
  CHECK(from_here == root / "project");
}
