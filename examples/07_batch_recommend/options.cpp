#include "options.hpp"

#include <charconv>
#include <limits>
#include <stdexcept>
#include <string>
#include <string_view>

const char* const usage =
    "batch_recommend [MovieLens directory] [--output FILE] [--jobs N] [--seed N] [--users N] [--items N]\n"
    "Without a directory, ratings of --users users and --items items are generated.\n";

static std::uint64_t number(std::string_view option, std::string_view text, std::uint64_t least, std::uint64_t most) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < least || value > most) {
    throw std::invalid_argument(std::string(option) + " wants a number from " + std::to_string(least) + " to " +
                                std::to_string(most) + ", not \"" + std::string(text) + "\"");
  }
  return value;
}

options parse_options(int argc, char** argv) {
  options chosen;
  for (int i = 1; i < argc; ++i) {
    const std::string_view argument = argv[i];
    if (!argument.starts_with("--")) {
      if (chosen.movielens) throw std::invalid_argument("more than one directory");
      chosen.movielens = argument;
      continue;
    }
    if (i + 1 == argc) throw std::invalid_argument(std::string(argument) + " wants a value");
    const std::string_view value = argv[++i];
    if (argument == "--output") {
      chosen.output = value;
    } else if (argument == "--jobs") {
      chosen.n_jobs = static_cast<int>(number(argument, value, 1, 1024));
    } else if (argument == "--seed") {
      chosen.seed = number(argument, value, 0, std::numeric_limits<std::uint64_t>::max());
    } else if (argument == "--users") {
      chosen.users = number(argument, value, 1, 1'000'000);
    } else if (argument == "--items") {
      chosen.items = number(argument, value, 300, 1'000'000);
    } else {
      throw std::invalid_argument("unknown option " + std::string(argument));
    }
  }
  return chosen;
}
