#include "evaluation.hpp"

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <string>

namespace {

constexpr int n_rounds = 3;

// The proportional set size: memory shared by n processes counts 1/n for each.
std::size_t pss(const std::filesystem::path& process) {
  std::ifstream in(process / "smaps_rollup");
  for (std::string word; in >> word;) {
    std::size_t kilobytes = 0;
    if (word == "Pss:" && in >> kilobytes) return kilobytes * 1024;
  }
  return 0;
}

std::size_t pss_of_tree(const std::filesystem::path& process) {
  auto sum = pss(process);
  std::error_code gone;
  for (const auto& thread : std::filesystem::directory_iterator(process / "task", gone)) {
    std::ifstream children(thread.path() / "children");
    for (std::string pid; children >> pid;) sum += pss_of_tree("/proc/" + pid);
  }
  return sum;
}

bool same(const all_recommendations& a, const all_recommendations& b) {
  const auto same_item = [](const auto& x, const auto& y) { return x.item == y.item && x.score == y.score; };
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [&](const auto& x, const auto& y) {
    return std::equal(x.begin(), x.end(), y.begin(), y.end(), same_item);
  });
}

}  // namespace

speed measure(const item_knn& model, const std::vector<std::uint32_t>& users, const all_recommendations& expected,
              lenskit::engine engine, int n_jobs) {
  lenskit::invoker inv(model, recommend(), {.n_jobs = n_jobs, .engine = engine});
  std::vector<double> rounds;
  for (int round = 0; round < n_rounds; ++round) {
    const auto begin = std::chrono::steady_clock::now();
    const auto lists = inv.map(users).collect();
    const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - begin;
    if (!same(lists, expected)) throw std::runtime_error("the engines differ in what they recommend");
    rounds.push_back(static_cast<double>(users.size()) / taken.count());
  }
  std::sort(rounds.begin(), rounds.end());
  return {rounds[n_rounds / 2], pss_of_tree("/proc/self")};
}
