// What batch_recommend writes: the recommendations to a file, and figures to standard output.
#pragma once

#include "evaluation.hpp"

#include <cstdint>
#include <filesystem>
#include <vector>

// As CSV: userId,rank,movieId,score. Throws std::runtime_error if it cannot be written.
void write_recommendations(const std::filesystem::path& file, const all_recommendations& lists,
                           const rating_data& data);

void report_quality(const char* name, const quality& of);

// Measures each engine. Throws as `measure`.
void report_speed(const item_knn& model, const std::vector<std::uint32_t>& users, const all_recommendations& expected,
                  int n_jobs);
