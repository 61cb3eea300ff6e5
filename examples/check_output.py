"""check_output.py SOURCE PROGRAM [ARGUMENT...]: runs an example and compares what it writes to standard output with the
comment at the end of its source. "..." stands for any text. An example that is a folder has the comment in main.cpp.
"""
import pathlib
import re
import subprocess
import sys


def promised(source):
    text = pathlib.Path(source).read_text(encoding="utf-8")
    head, _, block = text.rpartition("\n// Output")
    title, *lines = block.splitlines()
    return "any order" in title, [line[3:] for line in lines if line.startswith("//")]


def pattern(line):
    return ".*".join(map(re.escape, line.split("...")))


def differences(any_order, wanted, got):
    if not any_order:
        for number in range(max(len(wanted), len(got))):
            want = wanted[number] if number < len(wanted) else None
            line = got[number] if number < len(got) else None
            if want is None or line is None or not re.fullmatch(pattern(want), line):
                yield f"line {number + 1}: promised {want!r}, got {line!r}"
        return
    left = list(got)
    for want in wanted:
        match = next((line for line in left if re.fullmatch(pattern(want), line)), None)
        if match is None:
            yield f"promised and missing: {want!r}"
        else:
            left.remove(match)
    yield from (f"not promised: {line!r}" for line in left)


def main():
    source, *command = sys.argv[1:]
    any_order, wanted = promised(source)
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    print(done.stdout, end="")
    found = list(differences(any_order, wanted, done.stdout.splitlines()))
    if done.returncode != 0:
        found.append(f"exit status {done.returncode}")
    print("\n".join(found) if found else "as promised")
    sys.exit(1 if found or not wanted else 0)


if __name__ == "__main__":
    main()
