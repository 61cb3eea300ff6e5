// What befalls a whole process while its pools live: its surroundings, its workers, its system calls.
#pragma once

#include "chaos_dice.hpp"
#include "chaos_judge.hpp"

#include <memory>
#include <vector>

namespace lenskit::soak::chaos {

/// Something about the program that the library must be able to live with.
struct world_fault {
  const char* name;
  /// Begins it; what it returns ends it when it is destroyed.
  std::shared_ptr<void> (*begin)(dice&);
  bool breaks = false;  ///< pools may break of it, if they say so
  bool maps = false;    ///< makes map calls at any time: nobody can say which seed is the next call's
};

const std::vector<world_fault>& world_faults();

/// Something done to the processes of a pool, from outside.
struct blow {
  const char* name;
  int deaths;  ///< of workers that it may cause; -1: of all of them
  void (*deal)(dice&);
};

const std::vector<blow>& blows();

}  // namespace lenskit::soak::chaos
