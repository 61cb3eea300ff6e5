// batch_recommend: the main job of a recommender. Reads or generates ratings, holds a fifth of each user's out, trains
// item-item nearest neighbours in parallel, recommends 10 items to every user in parallel, and tells how good that is
// and how fast each engine.
#include "evaluation.hpp"
#include "options.hpp"

#include <cstdio>
#include <fstream>
#include <numeric>

namespace {

all_recommendations recommend_to_all(const item_knn& model, const std::vector<std::uint32_t>& users, int n_jobs) {
  const auto bar = lenskit::invoke_progress("recommending", users.size());
  lenskit::invoker inv(model, recommend(), {.n_jobs = n_jobs, .progress = bar});
  return inv.map(users).collect();
}

void write(const std::filesystem::path& file, const all_recommendations& lists, const rating_data& data) {
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

void run(const options& chosen) {
  lenskit::init_rng(chosen.seed);
  const auto data = chosen.movielens ? read_ratings(*chosen.movielens) : generate_ratings(chosen.users, chosen.items);
  const auto split = hold_out_a_fifth(data);
  std::printf("%zu ratings of %zu users and %zu items, %zu of them held out\n", data.ratings.size(),
              data.user_ids.size(), data.item_ids.size(), data.ratings.size() - split.train.size());

  const auto model = train(make_table(split.train, data.user_ids.size(), data.item_ids.size()), chosen.n_jobs);
  std::vector<std::uint32_t> users(data.user_ids.size());
  std::iota(users.begin(), users.end(), 0U);
  const auto lists = recommend_to_all(model, users, chosen.n_jobs);
  write(chosen.output, lists, data);
  std::printf("10 items for each of %zu users written to %s\n\n", lists.size(), chosen.output.c_str());

  report_quality("item-item kNN", evaluate(lists, split.held_out));
  report_quality("most popular",
                 evaluate(lenskit::invoker(model, recommend_popular, 1).map(users).collect(), split.held_out));
  std::printf("\n%d workers\n", chosen.n_jobs);
  report_speed(model, users, lists, chosen.n_jobs);
}

}  // namespace

int main(int argc, char** argv) {
  try {
    run(parse_options(argc, argv));
  } catch (const std::invalid_argument& error) {
    std::fprintf(stderr, "%s\n%s", error.what(), usage);
    return 2;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
