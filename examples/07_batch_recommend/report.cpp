#include "report.hpp"

#include <cstdio>
#include <fstream>
#include <stdexcept>

void write_recommendations(const std::filesystem::path& file, const all_recommendations& lists,
                           const rating_data& data) {
  std::ofstream out(file);
  out << "userId,rank,movieId,score\n";
  for (std::size_t user = 0; user < lists.size(); ++user) {
    for (std::size_t rank = 0; rank < lists[user].size(); ++rank) {
      const auto& [item, score] = lists[user][rank];
      out << data.user_ids[user] << ',' << rank + 1 << ',' << data.item_ids[item] << ',' << score << '\n';
    }
  }
  out.close();
  if (!out) throw std::runtime_error("cannot write " + file.string());
}

void report_quality(const char* name, const quality& of) {
  std::printf("%-13s recall@10 %.4f   nDCG@10 %.4f\n", name, of.recall, of.ndcg);
}

void report_speed(const item_knn& model, const std::vector<std::uint32_t>& users, const all_recommendations& expected,
                  int n_jobs) {
  const auto alone = measure(model, users, expected, lenskit::engine::in_process, 1);
  const auto threads = measure(model, users, expected, lenskit::engine::threads, n_jobs);
  const auto processes = measure(model, users, expected, lenskit::engine::processes, n_jobs);
  const auto line = [&](const char* name, const speed& of) {
    std::printf("%-10s %8.0f users/s   speed-up over one process %.2f   memory (PSS) %6.1f MB\n", name,
                of.users_per_second, of.users_per_second / alone.users_per_second,
                static_cast<double>(of.memory) / 1e6);
  };
  line("in_process", alone);
  line("threads", threads);
  line("processes", processes);
}
