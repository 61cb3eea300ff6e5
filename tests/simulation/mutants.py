"""mutants.py LIBRARY [--jobs N] [--only TEXT]: proves that the tests of the dispatcher see when it is wrong.

Each mutant is one change of one line of src/dispatch. It is compiled and linked with the unit tests of the dispatcher
and the simulation, which must fail: a test that passes then looks at nothing. LIBRARY is liblenskit_parallel.a, for what
lies below. Run by hand: it takes a quarter of an hour.
"""
import argparse
import concurrent.futures
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).parents[2]
CXX = [os.environ.get("CXX", "g++"), "-std=c++20", "-O1", "-w"]
LIBRARIES = ["-lspdlog", "-lfmt", "-lboost_serialization", "-lpthread", "-ldl"]
UNIT_TESTS = ["dispatch/dispatcher_test", "dispatch/dispatcher_deadline_test", "dispatch/dispatcher_sharing_test",
              "dispatch/leadership_test", "dispatch/roster_test", "dispatch/window_test", "dispatch/pace_test",
              "dispatch/run_cursor_test", "dispatch/overdue_test", "dispatch/blame_test", "dispatch/chunk_test",
              "dispatch/dispatcher_callers_test"]
SECONDS = 4  # of simulation

# File, what it says, what the mutant says.
MUTANTS = [
    ("dispatcher", "  if (!roster_.backlog_empty()) feed_workers(now_());\n", ""),
    ("dispatcher", "for (int worker = 0; worker < workers(); ++worker) take_all_back(worker, call.get());", ""),
    ("dispatcher", "  roster_.drop_waiting(*call);\n", ""),
    ("dispatcher", "for (int worker = 0; worker < workers(); ++worker) take_all_back(worker, nullptr);\n  roster_.clear",
     "roster_.clear"),
    ("dispatcher", "if (engine_->look(worker, aspect::task).in_hand != late) continue;", ""),
    ("dispatcher", "    take_all_back(worker, nullptr);\n    if (engine_->look(worker, aspect::task)",
     "    if (engine_->look(worker, aspect::task)"),
    ("dispatcher", "    overdue_.note_late(worker, *late);\n", ""),
    ("dispatcher", "if (!engine_->look(worker, aspect::progress).between_tasks) continue;", ""),
    ("dispatcher", "  end_stalled();\n", ""),
    ("dispatcher", "  enforce_deadlines();\n", ""),
    ("dispatcher", "  rebalance();\n", ""),
    ("dispatcher", "  if (limit >= work->limit) return;\n", ""),
    ("dispatcher", "  in.note_gone(work->limit - limit);\n", ""),
    ("dispatcher", "  work->limit = limit;\n", ""),
    ("dispatcher", "    work->call->started -= work->count - limit;\n", ""),
    ("dispatcher", "limit > work->settled && is_wanted(*work->call) &&", "limit > work->settled &&"),
    ("dispatcher", "if (rest->done() || rest->call->abandoned) return;", "if (rest->done()) return;"),
    ("dispatcher", "  rest->call->started -= rest->unsettled();\n", ""),
    ("dispatcher", "if (head.elapsed_ns < 0 && head.offset > known) return;", ""),
    ("dispatcher", "head.offset > known || head.count > given ||", "head.count > given ||"),
    ("dispatcher", "|| head.offset > given - head.count)", ")"),
    ("dispatcher", "  if (head.offset + head.count <= known) return;\n", ""),
    ("dispatcher", "  added.skip = known - head.offset;\n", ""),
    ("dispatcher", "  blame_.note_success();\n  work->deaths = 0;", "  work->deaths = 0;"),
    ("dispatcher", "  blame_.note_success();\n  work->deaths = 0;", "  blame_.note_success();"),
    ("dispatcher", "  overdue_.reset(worker);\n", ""),
    ("dispatcher", "blame_.count(death, overdue_.was_late(worker));", "blame_.count(death, true);"),
    ("dispatcher", "  stop_if_requested();  // before", "  // before"),
    ("dispatcher", "    return feeds && hungry(call) && !window_full(call);", "    return false;"),
    ("dispatcher", "if (from.waiting_tasks() >= before || from.empty()) from.spared_until", "if (false) from.spared_until"),
    ("blame", "part.skip = done_before - will.base;", "part.skip = 0;"),
    ("blame", "part.count = will.finished - done_before;", "part.count = will.finished - will.base;"),
    ("blame", "work->deaths++ < max_retries_", "work->deaths++ <= max_retries_"),
    ("blame", "if (!late && work->deaths++", "if (work->deaths++"),
    ("blame", "  charged_again_ = work->deaths > 0;\n", ""),
    ("blame", "will.started > position && will.owned", "will.owned"),
    ("blame", "death.start_error == 0 && ", ""),
    ("blame", "work->first_index + work->settled);", "work->first_index);"),
    ("chunk", "  rest.first_index = from.first_index + position;", "  rest.first_index = from.first_index;"),
    ("chunk", "  work.base = work.settled;", "  work.base = 0;"),
    ("chunk", "  given.first_index = work.first_index + work.base;", "  given.first_index = work.first_index;"),
    ("leadership", "  if (waiting_ > 0) changed_.notify_all();\n  if (!attended)", "  if (!attended)"),
    ("leadership", "  if (standing_in_) engine_.wake({});\n", ""),
    ("overdue", "if (started < each.end) due =", "if (false) due ="),
    ("overdue", "if (started < each.begin) due = after(due, each.forgotten);", ""),
    ("overdue", "known.unchanged = seen && seen == known.seen ?", "known.unchanged = seen ?"),
    ("overdue", "  for (auto& each : of_) each.unchanged = 0;\n", ""),
    ("roster", "  --work->call->waiting;\n", ""),
    ("roster", "if (engine_.room(static_cast<int>(worker)) <= in.unsent) continue;", ""),
    ("roster", "  if (!work.returned()) tasks_ -= work.limit - work.settled;\n", ""),
    ("roster", "    ++busy_;\n", ""),
    ("roster", "  if (in.empty()) --busy_;\n", ""),
    ("roster", "++plan.keep;", ";"),
    ("roster", "  backlog_.push_front(std::move(work));", "  backlog_.push_back(std::move(work));"),
    ("roster", "if (behind >= patience())", "if (false)"),
    ("run_cursor", "  skip_left_ = opened.skip;\n", ""),
    ("run_cursor", "    --part_left_;\n    if (skip_left_", "    if (skip_left_"),
    ("task_stream", "if (!pool_->take(*call_, at_.parts(), can_feed)) return", "if (!pool_->take(*call_, at_.parts())) return"),
    ("task_stream", "    if (room < tasks) tasks = in_window == 0 ? room : 0;\n", ""),
    ("window", "if (chunks_.contains(from)) chunks_.insert(&from, std::move(rest));", "chunks_.push_back(std::move(rest));"),
    ("window", "  added.first_index = of->first_index + of->settled;", "  added.first_index = of->first_index;"),
    ("window", "  settled_ += added.count;\n", ""),
    ("window", "  held_bytes_ -= std::min(held_bytes_, from.argument_bytes.size());\n", ""),
    ("window", "  abandoned_ = true;\n", ""),
]


def build(command):
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(" ".join(map(str, command)) + "\n" + done.stderr[-2000:])


def compile_to(source, target, scratch):
    """Compiles a file of the tests, or a mutant."""
    flags = ["-Iinclude", "-Itests", f'-DLENSKIT_TESTS_SCRATCH="{scratch}"', f'-DLENSKIT_TESTS_SOURCE_DIR="{ROOT}"']
    build(CXX + flags + ["-c", source, "-o", target])


def survives(number, mutant, folder, library, rooms, programs):
    """What is wrong with the mutant: None if a test has caught it."""
    name, old, new = mutant
    text = (ROOT / "src/dispatch" / f"{name}.cpp").read_text(encoding="utf-8")
    if text.count(old) != 1:
        return f"{name}.cpp says it {text.count(old)} times: {old!r}"
    mutated = folder / f"mutant{number}"
    mutated.mkdir()
    source = mutated / f"{name}.cpp"
    source.write_text(text.replace(old, new), encoding="utf-8")
    compile_to(source, mutated / "mutant.o", folder)
    try:
        for program, objects, arguments in programs:
            others = [each for each in rooms if each.stem != name]
            build(CXX + [*objects, mutated / "mutant.o", *others, library, *LIBRARIES, "-o", mutated / program])
            try:
                done = subprocess.run([mutated / program, *arguments], capture_output=True, timeout=60,
                                      cwd=folder, check=False)
            except subprocess.TimeoutExpired:
                return None  # to hang is to be caught
            if done.returncode != 0:
                return None
    finally:
        shutil.rmtree(mutated)
    return f"survives in {name}.cpp: {old!r} -> {new!r}"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("library", type=pathlib.Path)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--only", default="")
    options = parser.parse_args()
    library = options.library.resolve()
    with tempfile.TemporaryDirectory() as scratch, concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        folder = pathlib.Path(scratch)
        sources = [ROOT / "tests/simulation/main.cpp", ROOT / "tests/support/main.cpp", ROOT / "tests/support/leaks.cpp",
                   *(ROOT / "tests/unit" / f"{name}.cpp" for name in UNIT_TESTS)]
        objects = [folder / f"object{number}.o" for number in range(len(sources))]
        dispatch = sorted((ROOT / "src/dispatch").glob("*.cpp"))
        rooms = [folder / f"{source.stem}.o" for source in dispatch]
        sources += dispatch
        list(pool.map(lambda pair: compile_to(*pair, folder), zip(sources, [*objects, *rooms])))
        programs = [("simulation", objects[:1], ["--seconds", str(SECONDS)]), ("tests", objects[1:], ["--abort"])]
        chosen = [mutant for mutant in MUTANTS if options.only in mutant[0] + mutant[1]]
        found = pool.map(lambda each: survives(each[0], each[1], folder, library, rooms, programs), enumerate(chosen))
        alive = []
        for number, text in enumerate(found, 1):
            if text is not None:
                alive.append(text)
                print(text, flush=True)
        print(f"{len(chosen) - len(alive)} of {len(chosen)} mutants are caught")
        sys.exit(1 if alive else 0)


if __name__ == "__main__":
    main()
