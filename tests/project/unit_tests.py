"""unit_tests.py [ROOT]: finds headers of the rooms below that no unit test includes, so that nothing there is proven
only by what lies above it. Prints one line a header.
"""
import pathlib
import re
import sys

ROOMS = ("worker", "dispatch", "engines")
INCLUDE = re.compile(r"^[ \t]*#[ \t]*include[ \t]*<(lenskit/[^>]+)>", flags=re.MULTILINE)


def violations(root):
    tested = set()
    for path in (root / "tests/unit").rglob("*_test.cpp"):
        tested.update(INCLUDE.findall(path.read_text(encoding="utf-8")))
    for room in ROOMS:
        headers = sorted((root / "include/lenskit/detail" / room).rglob("*.hpp"))
        if not headers:
            yield f"include/lenskit/detail/{room}: there are no headers, so that this check looks at nothing"
        for path in headers:
            name = path.relative_to(root / "include").as_posix()
            if name not in tested:
                yield f"include/{name}: no file tests/unit/**/*_test.cpp includes it"


def main():
    root = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else pathlib.Path(__file__).parents[2]
    found = list(violations(root))
    print("\n".join(found) if found else "every header has a unit test")
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
