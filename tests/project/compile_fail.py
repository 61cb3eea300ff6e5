"""compile_fail.py FILE COMPILER FLAGS...: succeeds if FILE does not compile and the compiler says what FILE expects.

FILE has a line `// expect: <regular expression>`. A line `// alone` says that the compiler's first error must be that
sentence, and little else may follow it. With -DCORRECTED, for which FILE may hold the right way to write
it, it must compile: so a file that fails for a second reason is found out.
"""
import re
import subprocess
import sys

MOST_LINES = 20  # of output, notes included, where the sentence should stand alone


def compile_file(path, command, *extra):
    done = subprocess.run([*command, *extra, "-fsyntax-only", "-fdiagnostics-color=never", path],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return done.returncode, done.stdout


def main():
    path, command = sys.argv[1], sys.argv[2:]
    text = open(path, encoding="utf-8").read()
    expected = re.search(r"^// expect: (.+)$", text, re.MULTILINE)
    if not expected:
        sys.exit(f"{path}: has no line `// expect: ...`")
    status, output = compile_file(path, command)
    if status == 0:
        sys.exit(f"{path}: compiles, but should not")
    if not re.search(expected[1], output):
        sys.exit(f"{output}\n{path}: the compiler did not say \"{expected[1]}\"")
    if re.search(r"^// alone$", text, re.MULTILINE):
        errors = [line for line in output.splitlines() if " error: " in line]
        if len(errors) > 1 or not re.search(expected[1], errors[0]) or len(output.splitlines()) > MOST_LINES:
            sys.exit(f"{output}\n{path}: \"{expected[1]}\" is not all that the compiler said")
    if "CORRECTED" in text:
        status, output = compile_file(path, command, "-DCORRECTED")
        if status != 0:
            sys.exit(f"{output}\n{path}: does not compile with -DCORRECTED either")


if __name__ == "__main__":
    main()
