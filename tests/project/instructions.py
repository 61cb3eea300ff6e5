"""instructions.py PROGRAM STORED COMPILER [--renew]: counts the instructions of a task on each path of PROGRAM with
Callgrind, and fails where they are more than 5 % above the figure in the file STORED; --renew writes the file anew.

Instructions, unlike times, are the same on a busy machine. What a run costs besides its tasks cancels out, because the
figure is the difference of two runs with different numbers of tasks. Another compiler makes another program: its
figures are not compared, and the check is skipped.
"""
import json
import pathlib
import re
import shutil
import subprocess
import sys

FEW, MANY = 2_000, 12_000
TOLERANCE = 1.05
SKIPPED = 77


def instructions(program, path, tasks):
    done = subprocess.run(["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", program, path, str(tasks)],
                          capture_output=True, text=True)
    found = re.search(r"Collected : (\d+)", done.stderr)
    if done.returncode != 0 or not found:
        sys.exit(f"cannot count the instructions of {path}:\n{done.stderr}")
    return int(found[1])


def per_task(program, path):
    return (instructions(program, path, MANY) - instructions(program, path, FEW)) / (MANY - FEW)


def main():
    program, stored_file, compiler = sys.argv[1], pathlib.Path(sys.argv[2]), sys.argv[3]
    if not shutil.which("valgrind"):
        print("valgrind is not installed: instructions are not counted")
        sys.exit(SKIPPED)
    paths = subprocess.run([program], capture_output=True, text=True, check=True).stdout.split()
    measured = {path: round(per_task(program, path), 1) for path in paths}
    if "--renew" in sys.argv[4:]:
        stored = {"to renew": "run this test by hand with --renew behind its arguments; ctest -V shows them",
                  "compiler": compiler, "instructions per task": measured}
        stored_file.write_text(json.dumps(stored, indent=2) + "\n", encoding="utf-8")
        print(f"written: {stored_file}")
        return
    stored = json.loads(stored_file.read_text(encoding="utf-8"))
    if stored["compiler"] != compiler:
        print(f"the stored figures are of {stored['compiler']}, this is {compiler}: they are not compared")
        sys.exit(SKIPPED)
    known = stored["instructions per task"]
    failed = set(paths) ^ set(known)
    for path in sorted(set(paths) & set(known)):
        print(f"{path}: {measured[path]:g} instructions a task, {known[path]:g} stored")
        if measured[path] > TOLERANCE * known[path]:
            failed.add(path)
    for path in sorted(failed):
        print(f"{path} takes more than {TOLERANCE:g} times what is stored, or is not in both lists. If that is meant:\n"
              f"  python3 {sys.argv[0]} {program} {stored_file} '{compiler}' --renew")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
