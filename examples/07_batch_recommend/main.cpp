// batch_recommend: the main job of a recommender. Reads or generates ratings, holds a fifth of each user's out, trains
// item-item nearest neighbours in parallel, recommends 10 items to every user in parallel, and tells how good that is
// and how fast each engine.
#include "evaluation.hpp"
#include "options.hpp"
#include "report.hpp"

#include <cstdio>
#include <exception>
#include <numeric>
#include <stdexcept>

namespace {

all_recommendations recommend_to_all(const item_knn& model, const std::vector<std::uint32_t>& users, int n_jobs) {
  const auto bar = lenskit::invoke_progress("recommending", users.size());
  lenskit::invoker inv(model, recommend(), {.n_jobs = n_jobs, .progress = bar});
  return inv.map(users).collect();
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
  write_recommendations(chosen.output, lists, data);
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

// Output:
// ... ratings of 200 users and 800 items, ... of them held out
// ... training: 8 of 8 (100%) in ...
// ... recommending: 200 of 200 (100%) in ...
// 10 items for each of 200 users written to recommendations.csv
//
// item-item kNN recall@10 ...   nDCG@10 ...
// most popular  recall@10 ...   nDCG@10 ...
//
// 2 workers
// in_process ... users/s   speed-up over one process 1.00   memory (PSS) ... MB
// threads    ... users/s   speed-up over one process ...   memory (PSS) ... MB
// processes  ... users/s   speed-up over one process ...   memory (PSS) ... MB
