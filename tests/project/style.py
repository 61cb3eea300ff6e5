"""Checks what the house style says of files: clang-format, no tabs or trailing blanks, small files.

clang-format formats differently from version to version; without version 14 that one check is left out, and said so.
"""
import pathlib
import shutil
import statistics
import subprocess
import sys

ROOT = pathlib.Path(__file__).parents[2]
CODE = [path for folder in ("include", "src", "tests", "examples", "bench")
        for path in sorted((ROOT / folder).rglob("*")) if path.suffix in (".cpp", ".hpp")]
OTHER = [path for pattern in ("CMakeLists.txt", "cmake/*", "examples/CMakeLists.txt", "tests/**/CMakeLists.txt",
                              "tests/project/*", "scripts/*", ".ci/*", "*.json") for path in ROOT.glob(pattern)
         if path.is_file()]
MOST_LINES = 400


def blanks():
    for path in CODE + OTHER:
        text = path.read_text(encoding="utf-8")
        for number, line in enumerate(text.split("\n"), 1):
            if "\t" in line:
                yield f"{path.relative_to(ROOT)}:{number}: a tab"
            if line != line.rstrip():
                yield f"{path.relative_to(ROOT)}:{number}: blanks at the end of the line"
        if not text.endswith("\n"):
            yield f"{path.relative_to(ROOT)}: no newline at the end"


def sizes():
    lines = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in CODE}
    for path, count in lines.items():
        if count > MOST_LINES:
            yield f"{path.relative_to(ROOT)}: {count} lines, more than {MOST_LINES}"
    library = [count for path, count in lines.items() if path.relative_to(ROOT).parts[0] in ("include", "src")]
    if library and statistics.median(library) >= 100:
        yield f"half of the library's files have {statistics.median(library):.0f} lines or more: 100 at most"


def clang_format():
    for program in ("clang-format-14", "clang-format"):
        if shutil.which(program) and " 14." in subprocess.run([program, "--version"], capture_output=True,
                                                              text=True).stdout:
            done = subprocess.run([program, "--dry-run", "-Werror", *map(str, CODE)], capture_output=True, text=True)
            lines = [line.split(":")[:2] for line in done.stderr.splitlines() if "error:" in line]
            first = {path: number for path, number in reversed(lines)}
            return [f"{path}:{number}: not formatted: run {program} -i on it" for path, number in first.items()]
    print("clang-format 14 is not installed: formatting is not checked")
    return []


def main():
    found = [*blanks(), *sizes(), *clang_format()]
    print("\n".join(found) if found else f"{len(CODE)} source files are in style")
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
