#include "chaos_task.hpp"

#include "chaos_dice.hpp"
#include "chaos_faults.hpp"

#include <lenskit/detail/os/clock.hpp>
#include <lenskit/random.hpp>
#include <lenskit/worker.hpp>

#include <spdlog/spdlog.h>

#include <sys/mman.h>

#include <unistd.h>

#include <new>
#include <stdexcept>
#include <vector>

namespace lenskit::soak::chaos {
namespace {

board* current_board = nullptr;
tally* current_tally = nullptr;

template <class T>
T* map_shared() {
  void* room = ::mmap(nullptr, sizeof(T), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (room == MAP_FAILED) throw std::bad_alloc();
  return new (room) T{};
}

bool muffled = false;  // this worker has damaged its log pipe

void note_presence() {
  const auto index = worker_index();
  if (!index || !is_mp_worker() || static_cast<std::size_t>(*index) >= most_workers) return;
  the_board().workers[static_cast<std::size_t>(*index)] = ::getpid();
  the_board().spawner = ::getppid();
}

}  // namespace

board& the_board() { return *current_board; }
tally& the_tally() { return *current_tally; }
void new_board() {
  current_board = map_shared<board>();
  current_board->parent = ::getpid();
}
void map_tally() { current_tally = map_shared<tally>(); }

model make_model(std::uint64_t seed) {
  constexpr std::size_t count = 4000;
  std::vector<std::uint32_t> numbers(count);
  dice lots(seed);
  for (auto& each : numbers) each = static_cast<std::uint32_t>(lots.next());
  return {shared_array<std::uint32_t>(std::move(numbers)), "model of chaos"};
}

std::uint64_t checksum(const model& of) {
  std::uint64_t sum = of.name.size();
  for (const auto each : of.numbers) sum = sum * 31 + each;
  return sum;
}

std::uint64_t draw_lot() {
  std::uint64_t lot = 0;
  for (const auto word : task_seed().generate_state(2)) lot = lot << 32 | word;
  return lot;
}

std::string filler(std::size_t bytes, std::uint64_t salt) {
  std::string text(bytes, ' ');
  for (std::size_t i = 0; i < bytes; ++i) text[i] = static_cast<char>('a' + (salt + i * (1 + salt % 7)) % 26);
  return text;
}

void spring(trap set, trap here, std::size_t kind) {
  if (set != here) return;
  struck(kind);
  throw std::range_error(task_faults()[kind].name);
}

std::uint64_t expected_value(std::uint64_t model_checksum, const item& what) {
  std::uint64_t sum = what.ballast.size();
  for (const char each : what.ballast) sum = sum * 131 + static_cast<unsigned char>(each);
  return mix(model_checksum, mix(sum, mix(what.call, what.index)));
}

void log_record(const item& what, std::uint32_t attempt, std::uint32_t thread, std::uint32_t number,
                std::size_t filler_bytes) {
  spdlog::info("chaos {} {} {} {} {} {}", what.call, what.index, attempt, thread, number,
               filler(filler_bytes, number + what.index));
  ++the_board().items[what.call][what.index].logged;
}

answer task::operator()(const model& numbers, const item& what) const {
  auto& record = the_board().items[what.call][what.index];
  const auto attempt = ++record.executed;
  record.finished_ns = 0;
  record.started_ns = detail::now_ns();
  note_presence();
  if (muffled) record.muffled = true;
  for (std::uint32_t i = 0; i < what.records; ++i) log_record(what, attempt, 0, i, 20);
  answer result;
  result.lot = draw_lot();
  result.value = expected_value(checksum(numbers), what);
  result.ballast = filler(what.answer_bytes, what.salt);
  result.kind = what.kind;
  if (what.kind != 0 && attempt <= what.strikes) {
    const auto& fault = task_faults()[what.kind];
    result.set = what.set;
    if (what.set == trap::none) {
      struck(what.kind);
      if (::getpid() != the_board().parent) undo_habits();
      muffled = muffled || fault.muffles;
      task_context context{numbers, what, attempt};
      if (muffled) record.muffled = true;
      fault.strike(context);
    }
  }
  record.finished_ns = detail::now_ns();
  return result;
}

}  // namespace lenskit::soak::chaos
