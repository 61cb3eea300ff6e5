"""failure_ids.py [ROOT]: proves that each failure mode of the table has an automated test named by its id (G16): a
TEST_CASE whose name starts with "W1: ". Prints the missing ones, and how many there are.
"""
import pathlib
import re
import sys

# The families of the failure table, with the number of failure modes in each.
FAMILIES = {"W": 9, "F": 11, "P": 10, "D": 15, "S": 13, "L": 5, "E": 5}


def wanted():
    return [f"{family}{number}" for family, count in FAMILIES.items() for number in range(1, count + 1)]


def named(root):
    names = set()
    for path in sorted((root / "tests").rglob("*_test.cpp")):
        text = path.read_text(encoding="utf-8")
        names.update(re.findall(r'^TEST_CASE\("([A-Z]\d+): ', text, flags=re.MULTILINE))
    return names


def main():
    root = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else pathlib.Path(__file__).parents[2]
    found = named(root)
    missing = [each for each in wanted() if each not in found]
    if missing:
        print("no test is named by: " + " ".join(missing))
    print(f"{len(wanted()) - len(missing)} of {len(wanted())} failure modes have a test of their name")
    sys.exit(1 if missing else 0)


if __name__ == "__main__":
    main()
