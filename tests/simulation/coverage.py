"""coverage.py LIBRARY [--jobs N] [--seconds N]: how much of src/dispatch the unit tests of the dispatcher and the
simulation run, and which branches they never take.

Builds src/dispatch with --coverage and links it with these tests and LIBRARY, liblenskit_parallel.a, for what lies
below. Counts what gcov counts in the sources themselves, without the branches that only an exception takes. Run by hand:
it takes two minutes.
"""
import argparse
import concurrent.futures
import json
import pathlib
import subprocess
import tempfile

import mutants

COVERED = ["--coverage", "-O0", "-fno-inline"]
UNIT_TESTS = mutants.UNIT_TESTS + [f"dispatch/{name}_test" for name in (
    "assignment", "call", "decode_result", "engine", "outcome_part", "run_cursor", "task_stream", "vigil", "zip_source")]


def compile_to(source, target, scratch, flags):
    mutants.build(mutants.CXX + ["-Iinclude", "-Itests", f'-DLENSKIT_TESTS_SCRATCH="{scratch}"',
                                 f'-DLENSKIT_TESTS_SOURCE_DIR="{mutants.ROOT}"', *flags, "-c", source, "-o", target])


def branches_of(folder, name):
    """Line, taken and not taken branches of a source, without those of exceptions."""
    done = subprocess.run(["gcov", "--branch-probabilities", "--json-format", "--stdout", f"{name}.o"], cwd=folder,
                          capture_output=True, text=True, check=True)
    own = [each for each in json.loads(done.stdout)["files"] if each["file"].endswith(f"src/dispatch/{name}.cpp")]
    for file in own:
        for line in file["lines"]:
            taken = [branch["count"] > 0 for branch in line["branches"] if not branch["throw"]]
            yield line["line_number"], line["count"] > 0, taken


def report(folder, names):
    lines, lines_run, all_taken = 0, 0, []
    for name in names:
        source = (mutants.ROOT / "src/dispatch" / f"{name}.cpp").read_text(encoding="utf-8").splitlines()
        for number, was_run, taken in branches_of(folder, name):
            lines, lines_run = lines + 1, lines_run + was_run
            all_taken += taken
            if not was_run or not all(taken):
                print(f"{name}.cpp:{number}: {sum(taken)} of {len(taken)} branches: {source[number - 1].strip()}")
    print(f"lines {lines_run} of {lines}, {100 * lines_run / lines:.1f} %; "
          f"branches {sum(all_taken)} of {len(all_taken)}, {100 * sum(all_taken) / len(all_taken):.1f} %")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("library", type=pathlib.Path)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--seconds", type=int, default=20)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch, concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        folder = pathlib.Path(scratch)
        tests = [mutants.ROOT / "tests/simulation/main.cpp", mutants.ROOT / "tests/support/main.cpp",
                 mutants.ROOT / "tests/support/leaks.cpp",
                 *(mutants.ROOT / "tests/unit" / f"{name}.cpp" for name in dict.fromkeys(UNIT_TESTS))]
        objects = [folder / f"object{number}.o" for number in range(len(tests))]
        dispatch = sorted((mutants.ROOT / "src/dispatch").glob("*.cpp"))
        rooms = [folder / f"{source.stem}.o" for source in dispatch]
        work = [(*pair, folder, []) for pair in zip(tests, objects)]
        work += [(*pair, folder, COVERED) for pair in zip(dispatch, rooms)]
        list(pool.map(lambda each: compile_to(*each), work))
        for program, own, arguments in (("simulation", objects[:1], ["--seconds", str(options.seconds)]),
                                        ("tests", objects[1:], [])):
            mutants.build(mutants.CXX + ["--coverage", *own, *rooms, options.library.resolve(), *mutants.LIBRARIES,
                                         "-o", folder / program])
            subprocess.run([folder / program, *arguments], cwd=folder, stdout=subprocess.DEVNULL, check=True)
        report(folder, [source.stem for source in dispatch])


if __name__ == "__main__":
    main()
