"""check.py: proves with spin that the models of this directory hold, in every order of their steps, and that each of
their mutants does not: a model that cannot fail says nothing. Exits with 77, which is "skipped", without spin or gcc.

A mutant is a macro MUTANT_... that a model mentions; it counts as found if any of the sizes below shows an error.
"""
import pathlib
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).parent
# A model, and the sizes at which it is searched in whole.
SIZES = {
    "claims.pml": [{"TASKS": 3, "TAKES": 3},
                   {"TASKS": 2, "TAKES": 2, "CHUNKS": 3, "SLOTS": 2}],
    "leadership.pml": [{"ROUNDS": 2}],
}
# Searched for cycles too: where no label says "progress", none may be, so that nobody tries again without end.
WITHOUT_END = {"claims.pml": [{"TASKS": 2, "TAKES": 3}], "leadership.pml": [{"ROUNDS": 1}]}
MOST_MEGABYTES = 1500
SKIPPED = 77


class failure(Exception):
    pass


def run(command, where):
    return subprocess.run(command, cwd=where, capture_output=True, text=True, errors="replace")


def search(model, macros, compiled=("-DSAFETY",), options=()):
    """Searches all of a model's states: whether it found an error, its line on that, and the number of states."""
    with tempfile.TemporaryDirectory(prefix="lenskit-models-") as where:
        shutil.copy(HERE / model, where)
        for made, command in (
                ("pan.c", ["spin", *macros, "-a", model]),
                ("pan", ["gcc", "-O1", "-w", f"-DMEMLIM={MOST_MEGABYTES}", *compiled, "-o", "pan", "pan.c"])):
            done = run(command, where)
            if done.returncode != 0 or not (pathlib.Path(where) / made).exists():
                raise failure(f"{' '.join(command)}: {done.stdout}{done.stderr}")
        done = run(["./pan", "-m100000", *options], where)
    errors = re.search(r"errors: (\d+)", done.stdout)
    states = re.search(r"(\d+) states, stored", done.stdout)
    if not errors or not states:
        raise failure(f"pan of {model}: {done.stdout}{done.stderr}")
    if errors[1] == "0" and re.search(r"Search not completed|max search depth too small", done.stdout):
        raise failure(f"{model} is not searched in whole: {done.stdout}")
    first = re.search(r"^pan:\d+: (.*)", done.stdout, flags=re.MULTILINE)
    return errors[1] != "0", first[1] if first else "", int(states[1])


def defined(macros):
    return [f"-D{name}={value}" for name, value in macros.items()]


def report(verdict, begin, what, states, why=""):
    took = time.monotonic() - begin
    print(f"{verdict:6} {took:5.1f} s {states:9} states  {what}{': ' if why else ''}{why}", flush=True)


def check_holds(model, macros, **how):
    begin = time.monotonic()
    found, why, states = search(model, defined(macros), **how)
    sizes = " ".join(f"{name.lower()}={value}" for name, value in macros.items())
    report("FAILS" if found else "holds", begin, f"{model} {sizes}{' ends' if how else ''}", states, why)
    return not found


def check_mutant(model, mutant):
    begin = time.monotonic()
    searched = 0
    for macros in SIZES[model]:
        found, why, states = search(model, [*defined(macros), f"-D{mutant}"])
        searched += states
        if found:
            report("found", begin, f"{model} {mutant}", searched, why)
            return True
    report("LIVES", begin, f"{model} {mutant}", searched)
    return False


def main():
    missing = [program for program in ("spin", "gcc") if not shutil.which(program)]
    if missing:
        print(f"{' and '.join(missing)} cannot be found: the models are not checked")
        sys.exit(SKIPPED)
    good = True
    try:
        for model, sizes in SIZES.items():
            for macros in sizes:
                good &= check_holds(model, macros)
            for macros in WITHOUT_END.get(model, []):
                good &= check_holds(model, macros, compiled=("-DNP", "-DNOREDUCE"), options=("-l",))
            mutants = sorted(set(re.findall(r"\bMUTANT_[A-Z]\w+", (HERE / model).read_text(encoding="utf-8"))))
            for mutant in mutants:
                good &= check_mutant(model, mutant)
    except failure as what:
        print(what)
        good = False
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(f"{used.ru_utime + used.ru_stime:.0f} s of processor time, {used.ru_maxrss // 1024} MB at most")
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
